"""Annotations in XML, read without entities, so that none can grow without bound or open a file or an address."""

import re
from typing import NoReturn
from xml.etree import ElementTree as ET
from xml.parsers import expat

# expat knows Unicode and Latin 1. GB 18030 contains the other Chinese encodings, of which files often use more
# than they declare.
CHINESE = {"gb2312", "gbk", "gb18030", "gb_2312-80", "cp936"}
_DECLARED = re.compile(rb"\s*<\?xml[^>]{1,200}?encoding\s*=\s*[\"']([\w.-]{1,40})[\"']")


def parse_xml(data: bytes) -> ET.Element:
    """The root element.

    Raises:
        ValueError: if it is not XML, declares an entity, or is not written in its encoding.

    >>> parse_xml('<?xml version="1.0" encoding="gbk"?><name>船</name>'.encode("gbk")).text
    '船'
    """
    declared = _DECLARED.match(data)
    encoding = None
    if declared and declared[1].decode().lower() in CHINESE:
        data, encoding = data.decode("gb18030").encode(), "utf-8"
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = parser.ExternalEntityRefHandler = parser.SkippedEntityHandler = _refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:  # the latter: an encoding that Python does not know
        raise ValueError(str(error)) from None
    return builder.close()


def _refuse(*declared: object) -> NoReturn:
    raise ValueError(f"it declares or uses the entity {declared[0]!s:.40}, and annotations need none")
