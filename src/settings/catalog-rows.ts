import type { SettingRow } from './table.ts';

/** The keys that lie over the built-in catalogue. `catalog` reads them; this is their documentation. */
export const CATALOG_ROWS: readonly SettingRow[] = [
  describe('providers.ID.name', 'ID', 'a text', 'Example AI', 'Name for people.'),
  describe('providers.ID.base_url', '', 'an http or https address', 'https://api.example.com/v1', 'Address below which `/chat/completions` lies; a provider that is not built in needs it.'),
  describe('providers.ID.regions', '{}', 'a mapping of names to addresses', '{ china: "https://api.example.cn/v1" }', 'Other addresses by name, of which a BYOK key may choose one.'),
  describe('providers.ID.dialect', 'openai', 'one of openai, deepseek, zhipu, minimax, qwen, kimi, stepfun', 'openai', 'Which provider\'s differences from OpenAI it follows.'),
  describe('providers.ID.key_format', '""', 'a text', 'sk-…', 'What its keys look like, as a hint for people.'),
  describe('providers.ID.api_key', '"${ID_API_KEY:-}" for the built-in six', 'a text without blanks and line breaks', '"${EXAMPLE_API_KEY:-}"', 'Your own key there, for Standard requests.', true),
  describe('models.ID.provider', '', 'the name of a provider', 'deepseek', 'Who serves the model.'),
  describe('models.ID.upstream', 'ID', 'a text', 'deepseek-flash', 'The provider\'s name for the model.'),
  describe('models.ID.price', '', 'a mapping of input, cached_input, output, long_prompt, peak', '{ input: 0.14, cached_input: 0.0028, output: 0.28 }', 'What customers pay before the usage fee, in US dollars per million tokens: 0 is free, and a model without a price is refused; cached_input is input where it is not written. Over a built-in price, what you do not name stays, but an input without cached_input sells cached tokens at it, and one without long_prompt or peak sells long prompts and peak hours at it. long_prompt: { above: 262144, input: 2, output: 6 } is what the whole request costs where its prompt is longer than that. peak: { hours: [01:00-04:00], days: [mon, tue], except: [2026-10-01], input: 0.3, output: 1.2 } is what it costs where it comes at these hours of UTC; of these, hours and prices are needed.'),
  describe('models.ID.cost', '', 'a mapping like price', '{ input: 0.15, cached_input: 0.003, output: 0.6 }', 'What you pay the provider, where that differs; an input, cached_input or output of your own in price leaves out the built-in one.'),
  describe('models.ID.priced', '""', 'a day as YYYY-MM-DD', '"2026-11-23"', 'The day on which the price was looked up.'),
  describe('models.ID.source', 'set by the operator', 'a text', 'their price page', 'Where the price was found.'),
  describe('models.ID.name', 'ID', 'a text', 'DeepSeek Chat', 'Name for people.'),
  describe('models.ID.context_window', '131072', 'a whole number of tokens', '131072', 'Tokens of prompt and answer together.'),
  describe('models.ID.max_output', '8192', 'a whole number of tokens', '8192', 'Tokens of the longest answer, at most the context window.'),
  describe('models.ID.capabilities', '[tools, json_object]', 'a list of tools, json_object, json_schema, vision, reasoning', '[tools, vision]', 'What the model can do beyond plain chat.'),
  describe('models.ID.force', '{}', 'a mapping', '{ thinking: { type: disabled } }', 'Body fields set on every request.'),
  describe('models.ID.drop', '[]', 'a list of names', '[temperature, top_p]', 'Body fields left out of every request.'),
  describe('models.ID.sandbox', 'false', 'true or false', 'true', 'The model is answered by the sandbox alone.'),
  describe('equivalents.ID', '', 'a list of models', '[qwen-max, glm-4-plus]', 'Models that may stand in for this one, in order of preference; it replaces the built-in list, and `[]` empties it.'),
];

function describe(path: string, fallback: string, expects: string, example: string, doc: string, secret = false): SettingRow {
  return { path, default: fallback, expects, example, doc, secret };
}
