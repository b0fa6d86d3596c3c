import type { Catalog } from '../catalog/index.ts';
import type { Ppm, UsdE8 } from '../money/index.ts';

/** Where the key that seals secrets comes from. */
export type MasterKeySource =
  | { readonly kind: 'auto' }
  | { readonly kind: 'keychain' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'env'; readonly name: string };

/** findtoken.yaml and the environment, read, checked and put into units. Durations are milliseconds, rates ppm. */
export interface Settings {
  /** The file it came from; undefined: embedded defaults. */
  readonly file: string | undefined;
  readonly server: {
    readonly host: string;
    readonly port: number;
    readonly publicUrl: string;
    readonly workers: number;
    /** Further Host names a loopback daemon answers to. */
    readonly hosts: readonly string[];
    /** Web origins that may call; none by default. */
    readonly corsOrigins: readonly string[];
    /** How long running requests may take after SIGTERM. */
    readonly drainMs: number;
    /** Who may read `/metrics`. */
    readonly metrics: 'loopback' | 'open' | 'off';
  };
  readonly database: {
    readonly path: string;
    /** The folder of the file that notes the head of the books. */
    readonly anchors: string;
    /** How long a request's row stays after its end; Infinity: for ever. */
    readonly keepRequestsMs: number;
  };
  readonly secrets: { readonly masterKey: MasterKeySource };
  readonly billing: {
    readonly usageFee: Ppm;
    readonly rechargeFee: Ppm;
    readonly minimumRecharge: UsdE8;
    readonly byokFreeRequests: number;
    readonly byokFee: Ppm;
    readonly creditExpiryDays: number;
    readonly refundDays: number;
    /** Whether a refund gives the recharge fee back: never, or where nothing of the recharge was spent. */
    readonly refundFee: 'kept' | 'unspent';
    /** Tokens held for one picture of a prompt. */
    readonly pictureTokens: number;
    /** Tokens held for one video, sound or file of a prompt, where they are more than those of a picture. */
    readonly mediaTokens: number;
    /** Output tokens held where a request sets no limit, at most the model's own. */
    readonly defaultMaxTokens: number;
  };
  readonly limits: {
    readonly requestsPerMinute: number;
    /** Of one account, at once. */
    readonly concurrentRequests: number;
    readonly bodyBytes: number;
    /** Levels of nesting in a request body. */
    readonly jsonDepth: number;
    /** Values in a request body, by its commas and opening brackets. */
    readonly jsonValues: number;
    /** Over all accounts, at once. */
    readonly inFlight: number;
    /** Lag of the event loop beyond which new requests are turned away. */
    readonly loopLagMs: number;
    readonly connections: number;
    readonly connectionsPerAddress: number;
  };
  readonly routing: {
    readonly retries: number;
    readonly backoffMs: readonly number[];
    readonly timeoutMs: number;
    readonly streamTimeoutMs: number;
    readonly healthIntervalMs: number;
    readonly deadlineMs: number;
    readonly maxAttempts: number;
  };
  readonly stripe: { readonly secretKey: string; readonly webhookSecret: string; readonly apiBase: string; readonly returnUrls: readonly string[] };
  readonly email: { readonly from: string; readonly smtp: string };
  readonly registration: { readonly open: boolean };
  readonly sandbox: boolean;
  readonly log: { readonly level: 'silent' | 'error' | 'warn' | 'info' | 'debug'; readonly format: 'auto' | 'json' | 'pretty' };
  /**
   * Models, providers and equivalents: the built-in files with the operator's on top. Read at its first use, which throws a
   * SettingsError where the operator's part is at fault; `checkSettings` reads it early.
   */
  readonly catalog: Catalog;
  /** The operator's file has a part in the catalogue, which may be at fault; a catalogue that is built in alone is not. */
  readonly hasOwnCatalog?: boolean;
  /** Provider id → the operator's key from YAML or environment; absent where none is set. */
  readonly providerKeys: ReadonlyMap<string, string>;
  /** What was read from where, secrets masked, for `config show`; absent on settings made by hand. */
  readonly origins?: readonly SettingOrigin[];
  /** The same of what the file lays over the built-in catalogue. */
  readonly overlaid?: readonly SettingOrigin[];
}

/** One value as a screen may show it, and where it came from. */
export interface SettingOrigin {
  /** `section.key`. */
  readonly path: string;
  /** As one would write it in YAML; a secret is masked, such as `sk-…1234`. */
  readonly value: string;
  /** The value itself, in the types of JSON, masked as well: `['1s', '2s']` where `value` is `[1s, 2s]`. */
  readonly plain: unknown;
  /** `default`, `file:line:col`, `environment NAME`, or the option, such as `--port`. */
  readonly origin: string;
}
