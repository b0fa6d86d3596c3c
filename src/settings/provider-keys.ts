import { fill } from './environment.ts';
import type { Environment } from './environment.ts';
import { secret } from './readers.ts';
import type { Surroundings } from './readers.ts';
import { mask, SettingsError } from './refusal.ts';
import { isMapping } from './source.ts';
import type { Source } from './source.ts';
import type { SettingOrigin } from './types.ts';

/**
 * Where the built-in providers' keys are looked for when the file says nothing. A provider that an operator adds has none of
 * these: a variable such as OPENAI_API_KEY mostly holds a client's key, not the operator's.
 */
const FROM_ENVIRONMENT: Readonly<Record<string, string>> = {
  deepseek: '${DEEPSEEK_API_KEY:-}',
  zhipu: '${ZHIPU_API_KEY:-}',
  minimax: '${MINIMAX_API_KEY:-}',
  qwen: '${QWEN_API_KEY:-}',
  kimi: '${KIMI_API_KEY:-}',
  stepfun: '${STEPFUN_API_KEY:-}',
};

interface Found {
  readonly keys: ReadonlyMap<string, string>;
  readonly origins: readonly SettingOrigin[];
}

/** The operator's own provider keys, by provider: from the file, else from the environment; an empty one is none. */
export function readProviderKeys(source: Source | undefined, env: Environment, around: Surroundings): Found {
  const providers = isMapping(source?.data['providers']) ? source.data['providers'] : {};
  const keys = new Map<string, string>();
  const origins: SettingOrigin[] = [];
  for (const id of new Set([...Object.keys(FROM_ENVIRONMENT), ...Object.keys(providers)])) {
    const path = ['providers', id, 'api_key'];
    const fields = providers[id];
    const written = isMapping(fields) ? fields['api_key'] : undefined;
    const filled = fill(FROM_ENVIRONMENT[id] ?? '', env);
    const inherited = filled.wrong === undefined ? filled : { value: '', from: [] };
    const isWritten = written !== undefined && written !== null;
    const origin = isWritten && source !== undefined ? source.place(path) : `environment ${inherited.from.join(' ')}`;
    const key = secret.read(isWritten ? written : inherited.value, around);
    if (key === undefined) {
      throw new SettingsError(`${origin}: ${path.join('.')}: expected ${secret.expects}. Write for example api_key: "\${${id.toUpperCase().replace(/\W/g, '_')}_API_KEY:-}"`);
    }
    if (key === '') continue;
    keys.set(id, key);
    origins.push({ path: path.join('.'), value: mask(key), plain: mask(key), origin });
  }
  return { keys, origins };
}
