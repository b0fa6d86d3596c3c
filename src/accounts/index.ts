/** Accounts, keys, credits and their shapes in JSON: one implementation for the HTTP API and the command line. */
export type { AccountParts } from './account.ts';
export { activateAccount, createAccount, deactivateAccount, resolveAccount, setAccountLimit } from './account.ts';
export type { NewKey } from './keys.ts';
export { createKey, listKeys, revokeKey } from './keys.ts';
export { balanceOf, grantCredits, utcMonth } from './credits.ts';
export type { ByokParts, KeyCheck, KeyProbe, Registration } from './byok.ts';
export { checkKey, listByok, registerByok, removeByok, testByok } from './byok.ts';
export { listProviderKeys, openProviderKeys, setProviderKey } from './provider-keys.ts';
export type { AccountView, BalanceView, ByokView, KeyView, ListView, ProviderKeyView, RequestView, TransferView, UsageView } from './views.ts';
export { accountView, balanceView, byokView, deletedView, keyView, listView, providerKeyView, requestView, transferView, usageView } from './views.ts';
export type { ModelView } from './model-view.ts';
export { modelView } from './model-view.ts';
export type { ModeChoice } from './mode.ts';
export { chooseMode } from './mode.ts';
export { readProvider, readSecret } from './provider-secrets.ts';
export { openByok } from './open-byok.ts';
