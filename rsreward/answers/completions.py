"""The text of a completion that may be chat messages, as trainers hand them to reward functions."""

from typing import Any

from ..checks import shown


def completion_text(completion: Any) -> str:
    """The text that the model answered: the text itself, or the last message of the assistant.

    Results of tools, tool calls and earlier turns are not the answer. Reasoning that a response parser has moved to a
    field of its own is put back into its `<think>` element.

    Raises:
        ValueError: if the completion is neither, or no message is the assistant's.

    >>> turns = [{"role": "tool", "content": "[5, 6, 7, 8]"}, {"role": "assistant", "content": "[1, 2, 3, 4]"}]
    >>> completion_text(turns)
    '[1, 2, 3, 4]'
    """
    if isinstance(completion, str):
        return completion
    if not isinstance(completion, list) or not all(isinstance(message, dict) for message in completion):
        raise ValueError(f"a completion must be a text or a list of chat messages, got {shown(completion)}.")
    roles = [message.get("role", "assistant") for message in completion]
    own = [m for m, role in zip(completion, roles, strict=True) if isinstance(role, str) and role == "assistant"]
    if completion and not own:
        raise ValueError(f"a completion must be a text or hold a message of the assistant, got {shown(completion)}.")
    return _message_text(own[-1]) if own else ""


def _message_text(message: dict[str, Any]) -> str:
    thought = next((message[name] for name in ("reasoning_content", "thinking") if message.get(name) is not None), "")
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts: list[Any] = [part.get("text") if isinstance(part, dict) else part for part in parts]
    texts = ["" if text is None else text for text in texts]
    if not all(isinstance(text, str) for text in (thought, *texts)):
        raise ValueError(f"the content of a chat message must be a text or a list of parts, got {shown(content)}.")
    return (f"<think>{thought}</think>" if thought else "") + "".join(texts)
