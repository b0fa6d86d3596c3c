import { readFileSync } from 'node:fs';

/** The package's version, from its package.json: one folder up from the bundle, two from the sources. */
export function packageVersion(): string {
  for (const place of ['../package.json', '../../package.json']) {
    const found = readVersion(new URL(place, import.meta.url));
    if (found !== undefined) return found;
  }
  return 'unknown';
}

function readVersion(file: URL): string | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof parsed !== 'object' || parsed === null || !('name' in parsed) || !('version' in parsed)) return undefined;
    return parsed.name === 'findtoken' && typeof parsed.version === 'string' ? parsed.version : undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

