import { setImmediate as nextTurn } from 'node:timers/promises';
import type { NewKey } from '../accounts/index.ts';
import { whyNot } from '../disk.ts';
import type { Context } from './context.ts';
import { ENDINGS, Refusal } from './failure.ts';

/** A key that is good, and that nobody has yet. */
interface Made {
  readonly accountId: string;
  readonly created: NewKey;
}

/**
 * Makes a key and hands it over in one go. Its text is kept nowhere, and a key that nobody has would stay good: where it cannot be
 * handed over it is revoked, and a signal that comes meanwhile ends the command behind it.
 * @param wish.where completes "the key could not be …" and "the key was …": "printed"
 * @throws Refusal once the key is revoked, or where a signal came; whatever `make` throws
 */
export async function handOver<M extends Made>(context: Context, wish: { readonly make: () => Promise<M>; readonly where: string; readonly put: (made: M) => void }): Promise<M> {
  let exitCode: number | undefined;
  const hear = (code: number) => () => void (exitCode ??= code);
  const heard = ENDINGS.map(([signal, code]) => [signal, hear(code)] as const);
  for (const [signal, listen] of heard) process.on(signal, listen);
  context.leaveSignals();
  try {
    const made = await wish.make();
    await putOrRevoke(context, made, wish);
    // A signal is told between two turns of the loop, and this may be the end of one.
    await nextTurn();
    await nextTurn();
    if (exitCode !== undefined) throw new Refusal(`interrupted; the key was ${wish.where}, and is good.`, exitCode);
    return made;
  } finally {
    for (const [signal, listen] of heard) process.off(signal, listen);
  }
}

async function putOrRevoke<M extends Made>(context: Context, made: M, { where, put }: { readonly where: string; readonly put: (made: M) => void }): Promise<void> {
  try {
    put(made);
  } catch (error) {
    const { revokeKey } = await import('../accounts/index.ts');
    await context.write((books) => revokeKey(books, { accountId: made.accountId, keyId: made.created.id }));
    throw new Refusal(`the key could not be ${where} (${reasonOf(error)}) and was revoked; run it again.`);
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && error.code === 'EPIPE') return 'nobody reads it';
  return ('path' in error && typeof error.path === 'string' ? whyNot(error.path, error) : undefined) ?? error.message;
}
