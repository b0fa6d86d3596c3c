/** A provider inside the daemon: answers offline, opens no port, always says the same. */
export { createSandbox } from './answer.ts';
export type { SandboxOptions } from './answer.ts';
export { SANDBOX_CATALOG } from './models.ts';
