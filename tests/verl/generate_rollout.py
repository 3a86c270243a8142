"""Test support: `transformers.generate` behind verl's interface of asynchronous rollout servers, named `generate`."""

import asyncio
import zlib
from collections import Counter

import ray
import torch
import transformers
from verl.workers.rollout import base
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry, TokenOutput

SERVER = "generate_server"


class Server:
    """Holds the model, and answers one request at a time."""

    def __init__(self, path, max_new_tokens):
        torch.set_num_threads(1)
        self.model = transformers.AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32)
        self.processor = transformers.AutoProcessor.from_pretrained(path)
        self.max_new_tokens, self.lock, self.steps = max_new_tokens, asyncio.Lock(), 0
        self.asked = Counter()

    async def load_weights(self, weights, steps):
        async with self.lock:
            missing, unexpected = self.model.load_state_dict(weights, strict=False)
            if unexpected or set(missing) - set(self.model._tied_weights_keys):
                raise RuntimeError(f"weights do not fit: missing {missing}, unexpected {unexpected}")
            self.steps = steps or 0
            print(f"generate_rollout: step {steps}, {len(weights)} tensors loaded", flush=True)

    async def generate(self, request_id, prompt_ids, sampling_params, image_data=None, **kwargs):
        async with self.lock:
            new, log_probs = await asyncio.to_thread(self._sample, list(prompt_ids), sampling_params, image_data)
        extra = {"global_steps": self.steps}
        return TokenOutput(
            token_ids=new, log_probs=log_probs, stop_reason="completed", num_preempted=0, extra_fields=extra
        )

    @torch.no_grad()
    def _sample(self, prompt_ids, sampling_params, images):
        # The same samples in whatever order requests come.
        checksum = zlib.crc32(images[0].tobytes(), zlib.crc32(str(prompt_ids).encode()))
        torch.manual_seed(checksum + self.asked[checksum])
        self.asked[checksum] += 1
        ids = torch.tensor([prompt_ids])
        features = dict(self.processor.image_processor(images=images, return_tensors="pt"))
        temperature = sampling_params["temperature"]
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
        output = self.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=self.max_new_tokens,
            mm_token_type_ids=(ids == self.model.config.image_token_id).int(),
            output_scores=True, return_dict_in_generate=True, **sampling, **features,
        )  # fmt: skip
        new = output.sequences[0, len(prompt_ids) :].tolist()
        scores = [step[0].log_softmax(-1)[token].item() for step, token in zip(output.scores, new, strict=True)]
        return new, scores

    async def _nothing(self, *args, **kwargs):
        return None

    wake_up = sleep = clear_kv_cache = release_kv_cache = resume_kv_cache = abort_all_requests = _nothing
    resume_generation = start_profile = stop_profile = _nothing


class Replica(RolloutReplica):
    async def launch_servers(self):
        actor = ray.remote(Server).options(name=SERVER, num_cpus=0, max_concurrency=64)
        self._server_handle = actor.remote(self.model_config.path, self.config.response_length)
        self.servers, self._server_address = [self._server_handle], SERVER


class ServerAdapter(base.BaseRollout):
    """In the training worker: hands the weights over."""

    async def resume(self, tags):
        return None

    async def release(self):
        return None

    async def update_weights(self, weights, global_steps=None, **kwargs):
        full = {n: (p.full_tensor() if hasattr(p, "full_tensor") else p).detach().clone() for n, p in weights}
        await ray.get_actor(SERVER).load_weights.remote(full, global_steps)


RolloutReplicaRegistry.register("generate", lambda: Replica)
base._ROLLOUT_REGISTRY["generate", "async"] = f"{__name__}.ServerAdapter"
