"""The grounding reward for verl, one rollout at a time: as a function and as a reward manager.

    reward.custom_reward_function.path=pkg://rsreward_verl.reward

or, which also looks at the configuration before the first rollout,

    reward.reward_manager.source=importlib reward.reward_manager.name=GroundingRewardManager
    reward.reward_manager.module.path=pkg://rsreward_verl.reward
"""

from typing import Any

from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from .score import compute_score
from .settings import check_config, reward_options

__all__ = ["GroundingRewardManager", "compute_score"]


class GroundingRewardManager(RewardManagerBase):
    """`compute_score` as verl's reward manager, with the options from `reward.reward_kwargs`.

    Over the function it has two things: a wrong configuration is refused before the first rollout, and of agents with
    several outputs the last one is read at its true length, where verl's own manager goes by a padded mask.
    """

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any, **reward_model: Any) -> None:
        super().__init__(config, tokenizer, compute_score)
        check_config(config)
        self.options, self.longest = reward_options(config), config.data.max_response_length

    async def run_single(self, data: Any) -> dict[str, Any]:
        """The score of one rollout: `reward_score`, and all that `compute_score` returns as `reward_extra_info`."""
        row = data[-1]
        known = row.non_tensor_batch
        responses, mask = row.batch["responses"], row.batch["attention_mask"]
        length = int(known.get("response_len", mask[-len(responses) :].sum()))
        truth = known["reward_model"]["ground_truth"]

        def score() -> dict[str, Any]:
            text = self.tokenizer.decode(responses[:length], skip_special_tokens=True)
            return compute_score(known["data_source"], text, truth, {"cut_off": length >= self.longest}, **self.options)

        parts = await self.loop.run_in_executor(None, score)
        return {"reward_score": parts["score"], "reward_extra_info": parts}
