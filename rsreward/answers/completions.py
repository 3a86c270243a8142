"""The text of a completion that may be chat messages, as trainers hand them to reward functions."""

from typing import Any


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
        raise ValueError(f"a completion must be a text or a list of chat messages, got {completion!r:.100}.")
    own = [message for message in completion if message.get("role", "assistant") == "assistant"]
    if completion and not own:
        raise ValueError(f"a completion must be a text or hold a message of the assistant, got {completion!r:.100}.")
    return _message_text(own[-1]) if own else ""


def _message_text(message: dict[str, Any]) -> str:
    thought = message.get("reasoning_content") or message.get("thinking")
    content = message.get("content") or ""
    parts = [content] if isinstance(content, str) else content if isinstance(content, list) else [None]
    texts: list[Any] = [part.get("text") or "" if isinstance(part, dict) else part for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"the content of a chat message must be a text or a list of parts, got {content!r:.100}.")
    return (f"<think>{thought}</think>" if thought else "") + "".join(texts)
