"""Test support, loaded into every process of a verl run on a machine without GPU: what verl and its helpers lack there.

* a platform `cpu` for verl, with one pretended GPU for Ray;
* `torchvision`, which qwen_vl_utils imports for videos, and whose wheels want CUDA;
* the processor of the recipe's tiny models, which needs no torchvision, where verl asks for one;
* `transformers.generate` as a rollout, see `generate_rollout.py`.

`VERL_USE_EXTERNAL_MODULES=verl_on_cpu,rsreward_verl.trainer VERL_PLATFORM=cpu VERL_ENGINE_DEVICE=cuda`: the last one
only chooses verl's FSDP class.
"""

import contextlib
import sys
import types

import datasets
import torch
import torch.distributed as dist
import transformers
from rsreward_qwen_vl.model.processors import ImageOnlyQwen3VLProcessor
from transformers.utils.import_utils import is_torchvision_available
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry


class _Device(types.ModuleType):
    """`torch.cpu`, and nothing done or counted for the rest of what verl asks of `torch.cuda`."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        answers = {"mem_get_info": (1 << 33, 1 << 34), "get_rng_state": torch.get_rng_state(), "get_device_name": "cpu"}
        if name.endswith(("allocated", "reserved")):
            answers[name] = 0
        return getattr(torch.cpu, name, lambda *args, **kwargs: answers.get(name))


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    device_name = vendor_name = "cpu"
    device_module = _Device("cpu")

    def is_available(self):
        return True

    def is_platform_available(self, use_smi_check=False):
        return False  # by VERL_PLATFORM=cpu alone

    def current_device(self):
        return "cpu"

    def device_count(self):
        return 1

    def _nothing(self, *args):
        return None

    set_device = synchronize = set_allocator_settings = empty_cache = profiler_start = profiler_stop = cudart = _nothing

    def manual_seed(self, seed):
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def get_device_capability(self, device_index=0):
        return None, None

    def communication_backend_name(self):
        return "gloo"

    def visible_devices_envvar(self):
        return "NO_VISIBLE_DEVICES"

    def nvtx_range(self, msg):
        return contextlib.nullcontext()

    def ray_resource_name(self):
        return "GPU"  # ray.init(num_gpus=1) pretends it

    def ray_noset_envvars(self):
        return []

    def is_ipc_supported(self):
        return False


def _gloo_once(*args, **kwargs):
    """verl joins the backends of CPU and device, which here are the same."""
    if kwargs.get("backend") == "cpu:gloo,cpu:gloo":
        kwargs["backend"] = "cpu:gloo"
    return _init_process_group(*args, **kwargs)


_init_process_group, dist.init_process_group = dist.init_process_group, _gloo_once

if not (datasets.config.TORCHVISION_AVAILABLE or is_torchvision_available()):  # both remember the answer
    torchvision, transforms = types.ModuleType("torchvision"), types.ModuleType("torchvision.transforms")
    torchvision.io, torchvision.transforms = types.ModuleType("torchvision.io"), transforms
    transforms.InterpolationMode = types.SimpleNamespace(BICUBIC="bicubic")
    sys.modules |= {"torchvision": torchvision, "torchvision.transforms": transforms}


class Qwen3VLProcessor(ImageOnlyQwen3VLProcessor):
    """By its name verl knows the family."""


def _tiny_processor(path, **kwargs):
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    images = transformers.Qwen2VLImageProcessorPil.from_pretrained(path)
    return Qwen3VLProcessor(images, tokenizer, chat_template=tokenizer.chat_template)


transformers.AutoProcessor.from_pretrained = _tiny_processor

import generate_rollout  # noqa: E402, F401  # registers itself, once the platform is there
