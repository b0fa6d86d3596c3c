import { RECIPES, type Recipe, type Target } from '../../src/cli/connect/tools.ts';
import { loadSettings } from '../../src/settings/index.ts';

/**
 * The pages of docs/clients: what `findtoken connect TOOL` prints with the defaults, and what to know beside it.
 * `.ci/client-pages.mjs` writes them, and a test holds them to this.
 */

/** What a page tells beside the settings. */
interface Notes {
  /** Of the fence around the settings. */
  readonly language: string;
  readonly steps?: string;
  readonly notes: readonly string[];
}

const RETRIES = 'findtoken retries and fails over by itself; retries of the tool only multiply that, so turn them down where the tool lets you. A spent 503 bears `x-should-retry: false`, which the OpenAI SDKs obey.';
const MODELS = 'Any model of `GET /v1/models` will do, and a routing may stand behind its name: `deepseek-chat:cheapest`.';

const NOTES: Readonly<Record<string, Notes>> = {
  codex: { language: 'toml', notes: ['Codex speaks the Responses API, which findtoken serves without keeping anything; see [the HTTP API](../http.md#the-responses-api).', 'That Codex has no metadata of the model is a warning of its own: `model_context_window` is what it needs to know of one, or it fills windows beyond their end. Web search is OpenAI\'s and is not to be had here.'] },
  claude: { language: 'sh', notes: ['Claude Code speaks Anthropic\'s Messages API, which findtoken serves; see [the HTTP API](../http.md#the-messages-api). What it says a call cost is by Anthropic\'s prices: `findtoken logs` tells the charge.', 'Its web search is Anthropic\'s and is not to be had here.'] },
  cline: { language: 'text', notes: ['Cline finds the models by itself once base URL and key are in.', 'Context window and longest answer are not known to Cline; they are `context_length` and `top_provider.max_completion_tokens` of `GET /v1/models`.'] },
  continue: { language: 'yaml', notes: [MODELS, 'Completion while you type wants a model for it and `POST /v1/completions`, which findtoken does not serve; the roles above are those that work.'] },
  openwebui: { language: 'sh', notes: ['The connection can be made under Admin Settings, Connections, as well; its test asks `GET /v1/models`, which refuses a bad key.', 'Retrieval (RAG) needs embeddings, which findtoken does not serve: leave it with Open WebUI\'s own model.'] },
  librechat: { language: 'yaml', notes: ['LibreChat reads prices and windows out of `GET /v1/models` by itself, for its own counting.', '`version` is that of LibreChat\'s file format; keep the one your release wants.'] },
  aider: { language: 'sh', notes: ['The `openai/` before the model tells aider which API to speak; findtoken never sees it.', 'aider knows no prices of models under this name: the charge stands in `findtoken logs`.'] },
  langchain: { language: 'text', notes: [RETRIES, 'The charge of an answer is `usage.cost`, which LangChain keeps in the message\'s response metadata.'] },
  'ai-sdk': { language: 'js', notes: [RETRIES, 'Reasoning comes in `reasoning_content`, which this provider package reads.', 'The models of `@ai-sdk/openai` leave their history with OpenAI unless told not to, and nothing is kept here: they want `providerOptions: { openai: { store: false } }`, or `openai.chat(…)`. Those of `@ai-sdk/anthropic` want the base URL as above.'] },
  env: { language: 'sh', notes: [RETRIES, MODELS] },
};

const ANSWER = `The answer's \`usage\` bears its \`cost\`; the headers \`X-FindToken-Cost\` and \`X-FindToken-Balance\` tell it too.`;

/** Two that need no recipe of their own. */
const FURTHER: Readonly<Record<string, { readonly title: string; readonly body: (target: Target) => string }>> = {
  openai: {
    title: 'The OpenAI SDKs',
    body: ({ origin, model }) => `Base URL and key are all that changes. Both SDKs read \`OPENAI_BASE_URL\` and \`OPENAI_API_KEY\` by themselves; [env](env.md) sets them.

\`\`\`python
# pip install openai
import os
from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key=os.environ["FINDTOKEN_API_KEY"])
response = client.chat.completions.create(
    model="${model}",
    messages=[{"role": "user", "content": "Hello!"}],
    extra_body={"routing": "cheapest"},
)
print(response.choices[0].message.content, response.usage.cost)
\`\`\`

\`\`\`js
// npm install openai
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${origin}/v1", apiKey: process.env.FINDTOKEN_API_KEY });
const { data, response } = await client.chat.completions
  .create({ model: "${model}", messages: [{ role: "user", content: "Hello!" }] })
  .withResponse();
console.log(data.choices[0].message.content, response.headers.get("x-findtoken-cost"));
\`\`\`

- ${RETRIES}
- Fields of ours go beside OpenAI's: \`extra_body={"routing": "cheapest"}\` in Python, plainly in JavaScript.
- ${ANSWER}`,
  },
  curl: {
    title: 'curl',
    body: ({ origin, model }) => `\`\`\`sh
curl -i ${origin}/v1/chat/completions \\
  -H "Authorization: Bearer $FINDTOKEN_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "${model}", "messages": [{"role": "user", "content": "Hello!"}]}'
\`\`\`

With \`"stream": true\` in the body and \`-N\` the events come as they are made; \`-i\` shows the trailers with cost and balance at the end.

- \`-H "Content-Type: application/json"\` is needed: without it curl sends a form, which is answered 415.
- ${ANSWER}`,
  },
};

/** File name → text, for all of docs/clients. */
export function clientPages(): ReadonlyMap<string, string> {
  const target = defaultTarget();
  const pages = RECIPES.map((recipe) => [`${recipe.tool}.md`, pageOf(recipe, target)] as const);
  const further = Object.entries(FURTHER).map(([name, { title, body }]) => [`${name}.md`, `# ${title}\n\n${body(target)}\n`] as const);
  return new Map([...pages, ...further, ['README.md', index()]]);
}

/** What `findtoken connect` takes where nothing else is said. */
export function defaultTarget(): Target {
  const { catalog, server } = loadSettings({ env: {}, cwd: '/', home: '/' });
  const model = catalog.models.get('deepseek-chat');
  if (model === undefined) throw new Error('deepseek-chat is not in the catalogue');
  return { origin: server.publicUrl, model: model.id, contextWindow: model.contextWindow, maxOutput: model.maxOutput, tools: model.capabilities.includes('tools') };
}

function pageOf(recipe: Recipe, target: Target): string {
  const notes = NOTES[recipe.tool];
  if (notes === undefined) throw new Error(`nothing is told of ${recipe.tool}: give it a row in NOTES`);
  return `# ${recipe.about}

\`findtoken connect ${recipe.tool}\` prints these settings, for the address your daemon has; \`--model\` and \`--url\` change them. They go into ${recipe.place}.

\`\`\`${notes.language}
${recipe.settings(target)}
\`\`\`

\`FINDTOKEN_API_KEY\` is a key of yours: \`findtoken keys create --name ${recipe.tool}\` makes one.

${notes.notes.map((note) => `- ${note}`).join('\n')}
`;
}

function index(): string {
  const rows = [
    ...RECIPES.map(({ tool, about }) => `- [${about}](${tool}.md)`),
    ...Object.entries(FURTHER).map(([name, { title }]) => `- [${title}](${name}.md)`),
  ];
  return `# Clients

Whatever speaks OpenAI's chat or Responses API works with findtoken: give it the base URL, which ends in \`/v1\`, and a key; what speaks Anthropic's, the same without \`/v1\`. One page a tool; their settings are
what \`findtoken connect TOOL\` prints, and were written from each tool's own documentation in autumn 2026. The tests use the OpenAI and Anthropic SDKs for JavaScript and curl; LangChain for JavaScript,
the AI SDK, Continue's adapters, Codex 0.171 and Claude Code 2.1 were run against providers that were played. The others were not run here.

${rows.join('\n')}

A client that can set only a model's name chooses its routing by a suffix (\`deepseek-chat:cheapest\`), one that can set headers by \`X-FindToken-Routing\`.
`;
}
