"""Count lines of code: no blank lines, no comments, no docstrings. `python scripts/count_lines.py [PATH ...]`"""

import ast
import io
import os
import sys
import tokenize
from pathlib import Path

SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def docstring_lines(tree: ast.AST) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def count(source: str) -> int:
    """How many lines of source hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SKIPPED:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstring_lines(ast.parse(source)))


def python_files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def main(arguments: list[str]) -> None:
    root = Path(__file__).resolve().parents[1]
    paths = [Path(argument) for argument in arguments] or [root / name for name in ("jaxrl", "envs")]
    missing = [path for path in paths if not path.exists()]
    if missing:
        sys.exit(f"count_lines: no such file or folder: {missing[0]}")
    counts = {file: count(file.read_text(encoding="utf-8")) for path in paths for file in python_files(path)}
    for file, lines in counts.items():
        print(f"{lines:6d}  {os.path.relpath(file)}")
    print(f"{sum(counts.values()):6d}  total")


if __name__ == "__main__":
    main(sys.argv[1:])
