/** What a tool is connected with. The key itself is never printed: each setting names the variable that holds it. */
export interface Target {
  /** The daemon's address without a path. */
  readonly origin: string;
  readonly model: string;
  readonly contextWindow: number;
  readonly maxOutput: number;
  /** The model takes tools, which an editor's agent needs. */
  readonly tools: boolean;
}

/** How one tool is told of findtoken. */
export interface Recipe {
  readonly tool: string;
  readonly about: string;
  /** Where the settings go: a file, or a place in the tool's own screens. */
  readonly place: string;
  readonly settings: (target: Target) => string;
}

const KEY = 'FINDTOKEN_API_KEY';
const base = ({ origin }: Target): string => `${origin}/v1`;

/** Every tool, in the order of the help. Each was written from the tool's own documentation. */
export const RECIPES: readonly Recipe[] = [
  {
    tool: 'codex',
    about: 'OpenAI Codex CLI',
    place: '~/.codex/config.toml',
    settings: (target) => `model = "${target.model}"
model_context_window = ${target.contextWindow} # where it shortens the conversation in time
model_provider = "findtoken"

[model_providers.findtoken]
name = "findtoken"
base_url = "${base(target)}"
env_key = "${KEY}"
wire_api = "responses"`,
  },
  {
    tool: 'claude',
    about: 'Claude Code',
    place: 'the shell that starts claude, or "env" in ~/.claude/settings.json',
    settings: (target) => `export ANTHROPIC_BASE_URL="${target.origin}"
export ANTHROPIC_AUTH_TOKEN="$${KEY}"
unset ANTHROPIC_API_KEY # it would be sent instead
export ANTHROPIC_MODEL="${target.model}"
export ANTHROPIC_DEFAULT_HAIKU_MODEL="${target.model}" # what runs in the background`,
  },
  {
    tool: 'cline',
    about: 'Cline for VS Code',
    place: "Cline's settings (the gear), API Configuration",
    settings: (target) => `API Provider      OpenAI Compatible
Base URL          ${base(target)}
API Key           the value of ${KEY}
Model ID          ${target.model}
Context Window    ${target.contextWindow}
Max Output Tokens ${target.maxOutput}`,
  },
  {
    tool: 'continue',
    about: 'Continue for VS Code and JetBrains',
    place: '~/.continue/config.yaml; the key goes into ~/.continue/.env as FINDTOKEN_API_KEY=…',
    settings: (target) => `name: findtoken
version: 0.0.1
schema: v1
models:
  - name: findtoken ${target.model}
    provider: openai
    model: ${target.model}
    apiBase: ${base(target)}
    apiKey: \${{ secrets.${KEY} }}
    roles: [chat, edit, apply]${target.tools ? '\n    capabilities: [tool_use]' : ''}
    defaultCompletionOptions:
      contextLength: ${target.contextWindow}`,
  },
  {
    tool: 'openwebui',
    about: 'Open WebUI',
    place: 'the environment of Open WebUI before its first start, for it keeps what it started with (later: Admin Panel, Settings, Connections); in a container 127.0.0.1 is the container: use host.docker.internal',
    settings: (target) => `OPENAI_API_BASE_URL=${base(target)}
OPENAI_API_KEY=$${KEY}
ENABLE_OLLAMA_API=false`,
  },
  {
    tool: 'librechat',
    about: 'LibreChat',
    place: 'librechat.yaml, the entry below "custom" where there is such a file already; the key goes into .env as FINDTOKEN_API_KEY=…',
    settings: (target) => `version: 1.3.17
endpoints:
  custom:
    - name: findtoken
      apiKey: "\${${KEY}}"
      baseURL: "${base(target)}"
      models:
        default: ["${target.model}"]
        fetch: true
      titleConvo: true
      titleModel: "${target.model}"
      modelDisplayLabel: findtoken`,
  },
  {
    tool: 'aider',
    about: 'aider',
    place: 'the shell that starts aider',
    settings: (target) => `export OPENAI_API_BASE="${base(target)}"
export OPENAI_API_KEY="$${KEY}"
aider --model openai/${target.model}`,
  },
  {
    tool: 'langchain',
    about: 'LangChain for Python and JavaScript',
    place: 'your program',
    settings: (target) => `# Python: pip install langchain-openai
import os
from langchain_openai import ChatOpenAI

llm = ChatOpenAI(model="${target.model}", base_url="${base(target)}", api_key=os.environ["${KEY}"], max_retries=0)

// JavaScript: npm install @langchain/openai
import { ChatOpenAI } from "@langchain/openai";

const llm = new ChatOpenAI({
  model: "${target.model}",
  apiKey: process.env.${KEY},
  maxRetries: 0, // findtoken retries by itself
  configuration: { baseURL: "${base(target)}" },
});`,
  },
  {
    tool: 'ai-sdk',
    about: 'Vercel AI SDK',
    place: 'your program (npm install ai @ai-sdk/openai-compatible)',
    settings: (target) => `import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText } from "ai";

const findtoken = createOpenAICompatible({
  name: "findtoken",
  baseURL: "${base(target)}",
  apiKey: process.env.${KEY},
  includeUsage: true, // tokens of streams, too
  supportsStructuredOutputs: true, // or the schema of generateObject stays at home
});

const { text } = await generateText({ model: findtoken.chatModel("${target.model}"), prompt: "Hello!", maxRetries: 0 });`,
  },
  {
    tool: 'env',
    about: 'any program that uses the OpenAI SDKs',
    place: 'the shell that starts it',
    settings: (target) => `export OPENAI_BASE_URL="${base(target)}"
export OPENAI_API_BASE="${base(target)}"
export OPENAI_API_KEY="$${KEY}"`,
  },
];
