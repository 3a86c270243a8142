"""Loaded by swift beside the plug-in: a Qwen3-VL of the size of a toy, whose images are taken as they are.

swift's own loader of Qwen-VL wants qwen_vl_utils and torchvision, for videos and for resizing.
"""

from rsreward_qwen_vl.model.processors import load_processor
from swift.model import Model, ModelArch, ModelGroup, ModelMeta, register_model
from swift.model.models.qwen import Qwen3VLLoader
from swift.template import register_template
from swift.template.templates.qwen import Qwen3VLTemplate
from swift.template.templates.utils import ChatmlTemplateMeta

NAME = "tiny_qwen3_vl"


class TinyTemplate(Qwen3VLTemplate):
    def replace_tag(self, media_type, index, inputs):
        return ["<|vision_start|><|image_pad|><|vision_end|>"]


class TinyLoader(Qwen3VLLoader):
    def get_processor(self, model_dir, config):
        processor = load_processor(model_dir)
        TinyTemplate.image_token_id = processor.image_token_id
        return processor


register_template(ChatmlTemplateMeta(NAME, template_cls=TinyTemplate, default_system=None, auto_add_bos=False))
register_model(
    ModelMeta(
        NAME,
        [ModelGroup([Model("tiny", "tiny")], NAME)],
        TinyLoader,
        template=NAME,
        model_arch=ModelArch.qwen3_vl,
        architectures=["Qwen3VLForConditionalGeneration"],
        is_multimodal=True,
    )
)
