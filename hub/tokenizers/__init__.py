"""Text to token ids, without PaddlePaddle."""

from hub.tokenizers.wordpiece import Encoding, WordPieceTokenizer

__all__ = ["Encoding", "WordPieceTokenizer"]
