// Starts run.ts under the loader that the tests run under: the ledger's thread needs it too.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const { status } = spawnSync(process.execPath, ['--import', '@tapjs/typescript/import', fileURLToPath(new URL('./run.ts', import.meta.url)), ...process.argv.slice(2)], {
  stdio: 'inherit', env: { ...process.env, TS_NODE_TRANSPILE_ONLY: '1' },
});
process.exitCode = status ?? 1;
