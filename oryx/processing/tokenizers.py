"""The byte tokenizer of the small models and the tests: no vocabulary to train, nothing to download."""

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """UTF-8 bytes are ids 0 to 255, then <|endoftext|> = 256, <|im_start|> = 257, <|im_end|> = 258."""
    letters = bytes_to_unicode()  # the printable letter that byte-level tokenizers write for each byte
    core = Tokenizer(WordLevel({letter: byte for byte, letter in letters.items()}, unk_token=letters[0]))
    single = Split(Regex("[\\s\\S]"), behavior="isolated")
    core.pre_tokenizer = Sequence([ByteLevel(add_prefix_space=False, use_regex=False), single])
    core.decoder = ByteLevelDecoder()
    core.add_special_tokens([AddedToken(text, special=True) for text in (END_OF_TEXT, TURN_START, TURN_END)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=END_OF_TEXT, pad_token=END_OF_TEXT, extra_special_tokens=[TURN_START, TURN_END]
    )
