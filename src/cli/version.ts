import { readFileSync } from 'node:fs';
import { embeddedText } from '../embedded/index.ts';

/** The package's version, from its package.json: one folder up from the bundle, two from the sources, or in the single executable. */
export function packageVersion(): string {
  const carried = embeddedText('package.json');
  if (carried !== undefined) return versionIn(carried) ?? 'unknown';
  for (const place of ['../package.json', '../../package.json']) {
    const found = readVersion(new URL(place, import.meta.url));
    if (found !== undefined) return found;
  }
  return 'unknown';
}

function readVersion(file: URL): string | undefined {
  try {
    return versionIn(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function versionIn(text: string): string | undefined {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== 'object' || parsed === null || !('name' in parsed) || !('version' in parsed)) return undefined;
  return parsed.name === 'findtoken' && typeof parsed.version === 'string' ? parsed.version : undefined;
}
