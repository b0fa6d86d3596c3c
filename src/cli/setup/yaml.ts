/** What a first findtoken.yaml says. */
export interface FirstSettings {
  readonly host: string;
  readonly port: number;
  readonly sandbox: boolean;
}

/** Providers of the catalogue and the variables their keys are taken from. */
export const PROVIDER_VARIABLES = ['DEEPSEEK_API_KEY', 'ZHIPU_API_KEY', 'MINIMAX_API_KEY', 'QWEN_API_KEY', 'KIMI_API_KEY', 'STEPFUN_API_KEY'] as const;

/** A findtoken.yaml with what a newcomer changes first, each line said in words; everything else keeps its default. */
export function firstYaml({ host, port, sandbox }: FirstSettings): string {
  const providers = PROVIDER_VARIABLES.map((name) => `  ${name.replace('_API_KEY', '').toLowerCase()}: { api_key: "\${${name}:-}" }`);
  return `# The settings of findtoken. What is not written here has its default; findtoken.example.yaml shows every setting.
# \`findtoken config check\` reads this file as the daemon does, \`findtoken config show\` says where each value comes from.
# \${NAME} and \${NAME:-default} are environment variables. A secret written here is readable by whoever reads this file.

server:
  # 127.0.0.1 serves this machine alone, 0.0.0.0 the network.
  host: ${JSON.stringify(host)}
  port: ${port}
  # Where others reach the daemon, for links in mails and payments.
  # public_url: "https://llm.example.com"

# Models whose provider has no key are answered inside the daemon, offline. Turn it off once a provider has a key.
sandbox: ${sandbox}

# Your own keys at the providers. \`findtoken providers set-key NAME\` keeps one encrypted instead.
providers:
${providers.join('\n')}

# What is charged on top of the providers' prices, and taken of a recharge.
billing:
  usage_fee: 5.5%
  recharge_fee: 5.5%
  minimum_recharge: 10

# Of one account, over all its keys.
limits:
  requests_per_minute: 600

# Recharges by card; without a key, credits are given by \`findtoken credits grant\`.
stripe:
  secret_key: "\${STRIPE_SECRET_KEY:-}"
  webhook_secret: "\${STRIPE_WEBHOOK_SECRET:-}"

# Without a server, the text of a mail goes to the log.
email:
  from: findtoken@localhost
  smtp: "\${FINDTOKEN_SMTP_URL:-}"
`;
}
