import { whyNot } from '../disk.ts';
import type { Context } from './context.ts';
import { Refusal } from './failure.ts';

/**
 * Hands a new key over, and ends it where that fails: its text is kept nowhere, and a key that nobody has would stay good.
 * @param where completes "the key could not be …": "printed"
 * @throws Refusal once the key is revoked
 */
export async function handOver(context: Context, key: { readonly accountId: string; readonly keyId: string }, where: string, put: () => void): Promise<void> {
  try {
    put();
  } catch (error) {
    const { revokeKey } = await import('../accounts/index.ts');
    await context.write((books) => revokeKey(books, key));
    throw new Refusal(`the key could not be ${where} (${reasonOf(error)}) and was revoked; run it again.`);
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && error.code === 'EPIPE') return 'nobody reads it';
  return ('path' in error && typeof error.path === 'string' ? whyNot(error.path, error) : undefined) ?? error.message;
}
