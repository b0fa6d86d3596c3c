import type { Catalog, Provider } from '../catalog/index.ts';
import { Fault } from '../faults.ts';
import { hasUnprintable } from './names.ts';

/** Longest key any provider is known to hand out is far below; a pasted file is far above. */
const SECRET_MAX = 4096;
const MASKABLE_LENGTH = 12;
/** A key as it may be written; the blanks around it do not count. One provider's form is stricter; see `readSecret`. */
export const SECRET_PATTERN = String.raw`^\s*(?!sk-ft_)[\x21-\x7e]{1,${SECRET_MAX}}\s*$`;

/**
 * The provider that is meant.
 * @throws Fault invalid_request (`param` is `provider`) that lists the known ones.
 */
export function readProvider(catalog: Pick<Catalog, 'providers'>, id: string): Provider {
  const provider = catalog.providers.get(id);
  if (provider !== undefined) return provider;
  const known = [...catalog.providers.keys()].join(', ');
  throw new Fault('invalid_request', { fill: { detail: `There is no provider ${JSON.stringify(id)}; known are ${known}.` }, param: 'provider' });
}

/**
 * Checks what can be known of a provider's key without asking the provider, so that a slip of the clipboard is told at once.
 * The key never stands in the refusal.
 * @throws Fault invalid_request (`param` is `api_key`)
 */
export function readSecret(written: string, provider: Provider): string {
  const secret = written.trim();
  if (secret === '') throw refusal('The key is empty; paste the key that the provider shows.');
  if (secret.length > SECRET_MAX) throw refusal(`The key is longer than ${SECRET_MAX} characters; paste the key alone.`);
  if (/\s/.test(secret) || hasUnprintable(secret) || !isAscii(secret)) {
    throw refusal('The key holds spaces, line breaks or other characters that no key has; paste the key alone.');
  }
  if (secret.startsWith('sk-ft_')) throw refusal(`That is a findtoken key; paste the key that ${provider.name} gave you.`);
  if (provider.dialect === 'zhipu' && !/^[^.]+\.[^.]+$/.test(secret)) {
    throw refusal(`A key of ${provider.name} has two parts with one dot between them (id.secret); copy it whole.`);
  }
  return secret;
}

/**
 * The base URL of a region; without one, the provider's own. A region is a name of the configuration, never a URL.
 * @throws Fault invalid_request (`param` is `region`) that lists the provider's regions.
 */
export function baseUrlOf(provider: Provider, region: string | undefined): string {
  if (region === undefined) return provider.baseUrl;
  const url = Object.hasOwn(provider.regions, region) ? provider.regions[region] : undefined;
  if (url !== undefined) return url;
  const known = Object.keys(provider.regions).join(', ');
  const mend = known === '' ? 'leave the region out' : `choose one of ${known}, or leave it out`;
  throw new Fault('invalid_request', { fill: { detail: `${provider.name} has no region ${JSON.stringify(region)}; ${mend}.` }, param: 'region' });
}

/** The last four characters, which is all that is ever shown; nothing of a key so short that four would tell much of it. */
export function lastFour(secret: string): string {
  return secret.length < MASKABLE_LENGTH ? '' : secret.slice(-4);
}

/** Of a row that was sealed with the master key of before when another command had just changed it: nothing would open it. */
export function keyChanged(): Fault {
  return new Fault('overloaded', { fill: { detail: 'The master key was changed at this very moment, and nothing was kept; send it again.' }, retryAfterS: 1 });
}

function isAscii(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

function refusal(detail: string): Fault {
  return new Fault('invalid_request', { fill: { detail }, param: 'api_key' });
}
