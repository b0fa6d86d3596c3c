import { EMAIL_PATTERN, NAME_PATTERN, SECRET_PATTERN } from '../accounts/index.ts';
import { parseUsd, usdNumber, type UsdE8 } from '../money/index.ts';
import { PAYMENT_MAX } from '../payments/index.ts';
import { badField, flag, form, optional, text, type Field } from './form.ts';

/** Every JSON body but that of a chat request, which `wire` reads. A pattern is that of the reader in `accounts` which has the last word. */

const URL_SCHEMA = { format: 'uri', maxLength: 2_000 };

const amount: Field<UsdE8> = {
  about: 'US dollars to be paid, in whole cents; a text keeps them exact',
  optional: false,
  schema: ({ billing }) => ({
    anyOf: [
      { type: 'number', minimum: usdNumber(billing.minimumRecharge), maximum: usdNumber(PAYMENT_MAX) },
      { type: 'string', pattern: '^\\s*\\d{1,6}(\\.\\d{1,2}0{0,13})?\\s*$' },
    ],
  }),
  read: (value, name) => {
    const refusal = badField(name, 'The field amount is an amount of US dollars, such as 20 or "25.50".');
    if (typeof value !== 'number' && typeof value !== 'string') throw refusal;
    try {
      return parseUsd(value);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw refusal;
    }
  },
};

/** `POST /v1/user/credits`. */
export const CREDITS_FORM = form('{"amount": 20}', {
  amount,
  success_url: optional(text('where the payer goes after paying: under server.public_url, localhost or one of stripe.return_urls', URL_SCHEMA)),
  cancel_url: optional(text('where a payer goes who turns back; the same rule', URL_SCHEMA)),
});

/** `POST /v1/user/keys`. */
export const KEY_FORM = form('{"name": "laptop"}, with a name by which you will know the key', {
  name: text('a name by which you will know the key: 1 to 100 characters', { pattern: NAME_PATTERN }),
});

/** `POST /v1/user/byok/register`. */
export const BYOK_FORM = form('{"provider": "deepseek", "api_key": "…", "name": "…"}', {
  provider: text('whose key it is', ({ catalog }) => ({ enum: [...catalog.providers.keys()] })),
  api_key: text('the key as the provider shows it; kept sealed, and never shown again', { pattern: SECRET_PATTERN, writeOnly: true }),
  name: optional(text('a name by which you will know the key; by default the provider\'s', { pattern: NAME_PATTERN })),
  region: optional(text('one of the provider\'s regions; a key of another region looks like a bad key')),
  verify: optional(flag('false keeps the key without asking the provider whether it is good')),
});

/** `POST /v1/auth/register`. */
export const SIGN_UP_FORM = form('{"email": "name@example.com"}', {
  email: text('where the activation link is sent', { pattern: EMAIL_PATTERN }),
});
