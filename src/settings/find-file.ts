import { readFileSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { configHome, whyNot } from '../disk.ts';
import type { Environment } from './environment.ts';
import { SettingsError } from './refusal.ts';

export interface FoundFile {
  /** Absolute. */
  readonly path: string;
  /** As refusals show it: short where it lies in the working directory. */
  readonly name: string;
  readonly text: string;
}

export interface Whereabouts {
  readonly file?: string | undefined;
  readonly env: Environment;
  readonly cwd: string;
  readonly home: string;
}

/**
 * The settings file: `--config`, else FINDTOKEN_CONFIG, else ./findtoken.yaml, else $XDG_CONFIG_HOME/findtoken/findtoken.yaml
 * (~/.config without it). Undefined where none is there.
 * @throws SettingsError where a file that was named does not exist, or one cannot be read.
 */
export function findFile({ file, env, cwd, home }: Whereabouts): FoundFile | undefined {
  const named = file === undefined ? { by: 'FINDTOKEN_CONFIG', path: env['FINDTOKEN_CONFIG'] ?? '' } : { by: '--config', path: file };
  if (file !== undefined || named.path !== '') {
    const path = resolve(cwd, named.path.startsWith('~/') ? join(home, named.path.slice(2)) : named.path);
    const text = named.path === '' ? undefined : read(path, named.path);
    if (text !== undefined) return { path, name: named.path, text };
    throw new SettingsError(`${named.path || named.by}: ${named.by} names a file that does not exist. Mend the path, or make the file with \`findtoken init\`.`);
  }
  const here = { path: join(cwd, 'findtoken.yaml'), name: 'findtoken.yaml' };
  const own = join(configHome(env['XDG_CONFIG_HOME'], home), 'findtoken', 'findtoken.yaml');
  for (const { path, name } of [here, { path: own, name: own }]) {
    const text = read(path, name);
    if (text !== undefined) return { path, name, text };
  }
  return undefined;
}

/** The XDG rules have a relative path ignored. */
export function absolute(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? path : undefined;
}

function read(path: string, name: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (failure) {
    const code = failure instanceof Error && 'code' in failure ? failure.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (code === 'EISDIR') throw new SettingsError(`${name}: this is a folder. Name the file in it.`);
    throw new SettingsError(`${name}: the file cannot be read: ${whyNot(path, failure) ?? String(code)}. Let this user read it.`);
  }
}
