/** A fenced block of a page. */
export interface Block {
  /** What stands behind the fence: `sh`, `js`, `python`, `yaml` are run, `text` is what a program prints. */
  readonly language: string;
  readonly text: string;
  /** Where it begins, for a failure's message. */
  readonly line: number;
}

/** Every fenced block of a page, in order. @throws Error where a fence is not closed. */
export function blocksOf(page: string): readonly Block[] {
  const blocks: Block[] = [];
  let open: { readonly language: string; readonly line: number; readonly lines: string[] } | undefined;
  for (const [at, line] of page.split('\n').entries()) {
    if (!line.startsWith('```')) open?.lines.push(line);
    else if (open === undefined) open = { language: line.slice(3).trim(), line: at + 1, lines: [] };
    else {
      blocks.push({ language: open.language, line: open.line, text: open.lines.join('\n') });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`the block of line ${open.line} has no end`);
  return blocks;
}

/** The commands of a shell block: continued lines are one, comments behind them are none. `a \⏎ b  # c` is "a b". */
export function commandsOf(text: string): readonly string[] {
  return text
    .replace(/\s*\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.replace(/(^|\s+)#.*$/, '').trim())
    .filter((line) => line !== '');
}
