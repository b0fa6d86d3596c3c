import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../bin/findtoken.js', import.meta.url));

/** What the tests start as a user would: the script, or with FINDTOKEN_TEST_PROGRAM=dist/findtoken the single executable. */
export function programOf(args: readonly string[]): { readonly file: string; readonly args: readonly string[] } {
  const named = process.env['FINDTOKEN_TEST_PROGRAM'] ?? '';
  return named === '' ? { file: process.execPath, args: [SCRIPT, ...args] } : { file: resolve(named), args };
}

/** Why a test that looks into the script's files is skipped; false where there are any. */
export function noScript(): string | false {
  return (process.env['FINDTOKEN_TEST_PROGRAM'] ?? '') === '' ? false : 'the program under test has no files to look into';
}
