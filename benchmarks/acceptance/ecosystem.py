"""What docs/transformers.md shows on a CPU, here on the device: chat, pipeline, compiling, few bits, a LoRA step."""

import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, BitsAndBytesConfig, Qwen2Config, pipeline

import oryx
from benchmarks.acceptance.bench import Bench, drift
from oryx.model.attention import CALLS
from oryx.processing.tokenizers import byte_tokenizer

oryx.register()
RED = Image.new("RGB", (320, 256), "red")
MESSAGES = [{"role": "user", "content": [{"type": "image", "image": RED}, {"type": "text", "text": "Which colour?"}]}]
ANSWER = {"role": "assistant", "content": [{"type": "text", "text": "red"}]}
NEW = 8


def saved(bench: Bench, folder: Path) -> Path:
    """A random model with grouped heads, heads of a width that kernels take, in ``folder``."""
    width, layers = (64, 1) if bench.tiny else (1024, 8)
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": width // 32}
    sizes["intermediate_size"] = 2 * width
    text = Qwen2Config(vocab_size=259, eos_token_id=256, num_key_value_heads=width // 64, **sizes)
    torch.manual_seed(0)
    oryx.OryxForConditionalGeneration(oryx.OryxConfig(vision_config=sizes, text_config=text)).save_pretrained(folder)
    oryx.OryxProcessor(byte_tokenizer()).save_pretrained(folder)
    return folder


def run(bench: Bench) -> None:
    """Check every way in with the same question."""
    with tempfile.TemporaryDirectory() as place:
        folder = saved(bench, Path(place))
        processor = AutoProcessor.from_pretrained(folder)
        inputs = processor.apply_chat_template(
            MESSAGES, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        ).to(bench.device)

        def load(**options) -> torch.nn.Module:
            return AutoModelForImageTextToText.from_pretrained(folder, device_map=bench.device, **options).eval()

        def speaks(model: torch.nn.Module) -> bool:
            out = model.generate(**inputs, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False)
            return out.shape == (1, inputs["input_ids"].shape[1] + NEW)

        model = load(dtype=torch.bfloat16)
        bench.check("chat template, generate", speaks(model), f"bfloat16 on {model.device}")
        pipe = pipeline("image-text-to-text", model=model, processor=processor)
        said = pipe(text=MESSAGES, max_new_tokens=NEW, return_full_text=False)[0]["generated_text"]
        bench.check("pipeline", isinstance(said, str), repr(said))
        compiler = "aot_eager" if bench.tiny else "inductor"
        with torch.no_grad():
            plain = model(**inputs).logits
            apart = drift(torch.compile(model, backend=compiler)(**inputs).logits, plain)
        bench.check("torch.compile", apart < 0.05, f"{compiler}: {apart:.2g} apart from eager in bfloat16")
        for bits in (4, 8):
            quantised = BitsAndBytesConfig(load_in_4bit=bits == 4, load_in_8bit=bits == 8)
            where(
                bench,
                f"bitsandbytes, {bits} bits",
                "bitsandbytes",
                lambda q=quantised: speaks(load(quantization_config=q)),
            )
        where(
            bench,
            "a LoRA step without padding",
            "peft",
            lambda: lora_step(load(dtype=torch.bfloat16), processor, bench),
        )


def where(bench: Bench, name: str, package: str, work: Callable[[], bool]) -> None:
    """A check that needs a package; reported as skipped where it is not there."""
    present = find_spec(package) is not None
    bench.check(name, work() if present else None, package if present else f"{package} is not installed")


def lora_step(model: torch.nn.Module, processor: oryx.OryxProcessor, bench: Bench) -> bool:
    """Whether two examples of different lengths give finite gradients to adapters, their batch packed."""
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")).train()
    adapted.gradient_checkpointing_enable()
    longer = {"role": "user", "content": [{"type": "text", "text": "And without a picture?"}]}
    examples = [{"messages": [*MESSAGES, ANSWER]}, {"messages": [longer, ANSWER]}]
    before = CALLS.total()
    batch = oryx.Collator(processor, loss_only=True)(examples).to(bench.device)
    adapted(**batch).loss.backward()
    found = [p.grad for name, p in adapted.named_parameters() if "lora_B" in name]
    packed = CALLS.total() - before > model.config.vision_config.num_hidden_layers
    return packed and all(gradient is not None and bool(gradient.isfinite().all()) for gradient in found)
