import type { Context } from './context.ts';
import { EXIT, Refusal, wrongUsage } from './failure.ts';
import { printable } from './printable.ts';

/**
 * Makes sure that something is meant to be destroyed: asks on a terminal, takes `--yes` anywhere.
 * @throws Refusal where the answer is not yes (exit 1), or nobody can be asked and `--yes` is missing (exit 2).
 */
export async function confirm(context: Context, question: string): Promise<void> {
  if (context.yes) return;
  if (!context.terminal.asks) throw wrongUsage('nobody can be asked here; add --yes to go on without a question.');
  const { createInterface } = await import('node:readline/promises');
  const reader = createInterface({ input: context.terminal.stdin, output: context.terminal.stderr });
  try {
    const answer = await new Promise<string>((resolve, reject) => {
      // Neither Ctrl-C nor Ctrl-D ends the line of the question.
      reader.once('SIGINT', () => {
        context.terminal.note('');
        reject(new Refusal('interrupted; nothing was changed.', EXIT.interrupted));
      });
      reader.once('close', () => {
        context.terminal.note('');
        resolve('');
      });
      reader.question(`${printable(question)} [y/N] `).then(resolve, reject);
    }).finally(() => reader.removeAllListeners('close'));
    if (!/^y(es)?$/i.test(answer.trim())) throw new Refusal('nothing was changed.');
  } finally {
    reader.close();
  }
}

/** Where a secret comes from, as the command line says. */
export interface SecretWish {
  /** `--from-stdin` */
  readonly fromStdin: boolean;
  /** `--from-env NAME` */
  readonly fromEnv: string | undefined;
  /** Such as "API key of DeepSeek". */
  readonly what: string;
}

const SECRET_BYTES_MAX = 65_536;

/** Whether a person is asked for it, which waits for the command's screen; what comes from elsewhere is read before there is one. */
export function isAsked(context: Context, wish: SecretWish): boolean {
  return !wish.fromStdin && wish.fromEnv === undefined && context.terminal.asks;
}

/**
 * Reads a secret from a hidden prompt, standard input or an environment variable; never from an argument.
 * @param ask how a person is asked, where the command has a screen of its own
 * @throws Refusal (exit 2) where nobody can be asked and no other way is named, or the variable is empty.
 */
export async function readSecretFrom(context: Context, wish: SecretWish, ask?: (what: string) => Promise<string>): Promise<string> {
  if (wish.fromStdin && wish.fromEnv !== undefined) throw wrongUsage('--from-stdin and --from-env exclude each other; give one.');
  if (wish.fromEnv !== undefined) {
    const value = context.env[wish.fromEnv] ?? '';
    if (value === '') throw wrongUsage(`the environment variable ${JSON.stringify(wish.fromEnv)} of --from-env is empty or not set.`);
    return value;
  }
  if (wish.fromStdin) return readToEnd(context);
  if (!context.terminal.asks) throw wrongUsage(`the ${wish.what} must come from somewhere: add --from-stdin or --from-env NAME.`);
  return ask === undefined ? askHidden(context, `${wish.what} (not shown): `) : ask(wish.what);
}

async function readToEnd(context: Context): Promise<string> {
  let text = '';
  for await (const chunk of context.terminal.stdin) {
    text += String(chunk);
    if (text.length > SECRET_BYTES_MAX) throw wrongUsage('standard input holds far more than a key; send the key alone.');
  }
  return text.trim();
}

/** Typed characters are read one by one with the echo off; Ctrl-C interrupts, Ctrl-D and Enter end. */
async function askHidden(context: Context, prompt: string): Promise<string> {
  const { stdin, stderr } = context.terminal;
  // Before the question stands there: who answers at once would else be shown what was typed.
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  try {
    stderr.write(printable(prompt));
    let typed = '';
    for await (const chunk of stdin) {
      for (const key of String(chunk)) {
        if (key === '\u0003') throw new Refusal('interrupted; nothing was changed.', EXIT.interrupted);
        if (key === '\r' || key === '\n' || key === '\u0004') return typed;
        if (key === '\u007f' || key === '\b') typed = [...typed].slice(0, -1).join('');
        else typed += key;
      }
    }
    return typed;
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}
