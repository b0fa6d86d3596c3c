/** The providers' error answers, by a code to ask for them with: statuses and bodies in their own shapes. */

export interface SimulatedError {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

function deepseek(status: number, message: string, type: string): SimulatedError {
  return { status, body: { error: { message, type, param: null, code: 'invalid_request_error' } } };
}

/** Code a string, no type. */
function zhipu(status: number, code: string, message: string): SimulatedError {
  return { status, body: { error: { code, message } } };
}

/** The inner code stands in parentheses only. */
function minimax(status: number, type: string, message: string): SimulatedError {
  return { status, body: { type: 'error', error: { type, message, http_code: String(status) }, request_id: 'minimax-request' } };
}

/** The native shape: HTTP 200 and no choices. */
function baseResp(code: number, message: string): SimulatedError {
  return { status: 200, body: { id: 'x', choices: null, base_resp: { status_code: code, status_msg: message } } };
}

function qwen(status: number, code: string, message: string): SimulatedError {
  return { status, body: { error: { message, type: code, param: null, code }, request_id: 'qwen-request' } };
}

function kimi(status: number, type: string, message: string, headers: Readonly<Record<string, string>> = {}): SimulatedError {
  return { status, body: { error: { type, message } }, headers };
}

function stepfun(status: number, type: string, message: string): SimulatedError {
  return { status, body: { error: { message, type } } };
}

/** `key` is the answer to a wrong key, for every provider. */
export const PROVIDER_ERRORS = {
  deepseek: {
    key: deepseek(401, 'Authentication Fails, Your api key is invalid', 'authentication_error'),
    money: deepseek(402, 'Insufficient Balance', 'unknown_error'),
    stream_options: deepseek(400, 'stream_options should be set along with stream = true', 'invalid_request_error'),
    tool_choice: deepseek(400, 'Thinking mode does not support this tool_choice', 'invalid_request_error'),
    invalid: deepseek(400, 'This response_format type is unavailable now', 'invalid_request_error'),
    too_long: deepseek(400, "This model's maximum context length is 131072 tokens. However, you requested 200000 tokens.", 'invalid_request_error'),
    parameters: deepseek(422, 'Invalid parameters', 'invalid_request_error'),
    gone: deepseek(400, 'Model Not Exist', 'invalid_request_error'),
    risk: deepseek(400, 'Content Exists Risk', 'invalid_request_error'),
    rate: deepseek(429, 'Too many requests', 'rate_limit_error'),
    server: deepseek(500, 'Internal error', 'server_error'),
    overloaded: deepseek(503, 'Service is too busy', 'service_unavailable_error'),
  },
  zhipu: {
    key: zhipu(401, '1000', '身份验证失败。'),
    money: zhipu(429, '1113', '您的账户已欠费,请充值后重试。'),
    rate: zhipu(429, '1302', '您的账户已达到速率限制。'),
    overloaded: zhipu(429, '1305', '该模型当前访问量过大。'),
    policy: zhipu(400, '1301', '系统检测到输入或生成内容可能包含不安全或敏感内容。'),
    1210: zhipu(400, '1210', 'API 调用参数有误,请检查文档。'),
    gone: zhipu(400, '1211', '模型不存在,请检查模型代码。'),
    too_long: zhipu(400, '1261', 'Prompt 超长。'),
    server: zhipu(500, '1234', '网络错误,请稍后重试。'),
  },
  minimax: {
    key: minimax(401, 'authorized_error', 'invalid api key (2049)'),
    money: minimax(402, 'insufficient_balance_error', 'insufficient balance (1008)'),
    base_money: baseResp(1008, 'insufficient balance'),
    base_rate: baseResp(1002, 'rate limit'),
    base_key: baseResp(1004, 'login fail'),
    rate: minimax(429, 'rate_limit_error', 'rate limit exceeded (1002)'),
    server: minimax(500, 'server_error', 'unknown error (1000)'),
    overloaded: minimax(529, 'overloaded_error', 'the server cluster is under high load'),
    policy: minimax(422, 'unprocessable_entity_error', 'input new_sensitive (1026)'),
    too_long: minimax(400, 'bad_request_error', 'token limit exceeded (1039)'),
    window: minimax(400, 'bad_request_error', 'invalid params, context window exceeds limit (2013)'),
    invalid: minimax(400, 'bad_request_error', 'invalid params (2013)'),
  },
  qwen: {
    key: qwen(401, 'invalid_api_key', 'Incorrect API key provided.'),
    money: qwen(400, 'Arrearage', 'Access denied, please make sure your account is in good standing.'),
    rate: qwen(429, 'limit_requests', 'You exceeded your current requests list.'),
    insufficient_quota: qwen(429, 'insufficient_quota', 'You exceeded your current quota, please check your plan and billing details.'),
    policy: qwen(400, 'data_inspection_failed', 'Input data may contain inappropriate content.'),
    invalid_parameter_error: qwen(400, 'invalid_parameter_error', 'Parameter out of range.'),
    too_long: qwen(400, 'invalid_parameter_error', 'Range of input length should be [1, 30720]'),
    gone: qwen(404, 'model_not_found', 'The model does not exist or you do not have access to it.'),
    server: qwen(500, 'internal_error', 'An internal error has occurred.'),
    overloaded: qwen(503, 'ModelUnavailable', 'The model is unavailable.'),
  },
  kimi: {
    key: kimi(401, 'invalid_authentication_error', 'Invalid Authentication'),
    money: kimi(429, 'exceeded_current_quota_error', 'Your account is not active, current state: exceeded current quota'),
    rate: kimi(429, 'rate_limit_reached_error', 'Your account reached max organization concurrency: 1', { 'retry-after': '1' }),
    overloaded: kimi(429, 'engine_overloaded_error', 'The engine is currently overloaded, please try again later', { 'retry-after': '2' }),
    policy: kimi(400, 'content_filter', 'The request was rejected because it was considered high risk'),
    temperature: kimi(400, 'invalid_request_error', 'invalid temperature: only 1 is allowed for this model'),
    n: kimi(400, 'invalid_request_error', 'invalid n: only 1 is allowed'),
    invalid: kimi(400, 'invalid_request_error', 'Invalid request: unknown or unsupported field'),
    too_long: kimi(400, 'invalid_request_error', 'Invalid request: Your request exceeded model token limit: 262144'),
    gone: kimi(404, 'resource_not_found_error', 'Not found the model or Permission denied'),
    server: kimi(500, 'server_error', 'Internal server error'),
    html: { status: 504, body: '<html><head><title>504 Gateway Time-out</title></head></html>', headers: { 'content-type': 'text/html' } },
  },
  stepfun: {
    key: stepfun(401, 'invalid_api_key', 'Incorrect API key provided'),
    money: stepfun(402, 'insufficient_balance', 'Your balance is not enough'),
    rate: stepfun(429, 'rate_limited', 'Too many requests'),
    policy: stepfun(451, 'censorship_blocked', 'The content you provided or machine outputted is blocked.'),
    invalid: stepfun(400, 'request_params_invalid', 'The request parameters are invalid'),
    gone: stepfun(404, 'model_not_found', 'The model does not exist'),
    server: stepfun(500, 'server_error', 'Internal error'),
    overloaded: stepfun(503, 'engine_overloaded', 'The engine is overloaded'),
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, SimulatedError>>>>;
