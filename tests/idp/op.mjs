// A certified OpenID provider for tests. Who there is, is read from FILE at each request, so that tests change people,
// their groups and whether they exist while it runs: {"alice": {"groups": [...], "email": "...", "verified": true}}.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { issuer, port, file, clients, conform } = JSON.parse(process.env.OP);
const found = createRequire(process.env.OP_MODULES + '/').resolve('oidc-provider');
const { default: Provider } = await import(pathToFileURL(found));
const people = () => JSON.parse(fs.readFileSync(file));

const oidc = new Provider(issuer, {
  clients,
  claims: {
    openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username'], groups: ['groups'],
  },
  scopes: ['openid', 'email', 'profile', 'groups', 'offline_access'],
  conformIdTokenClaims: conform,
  features: {
    devInteractions: { enabled: true }, backchannelLogout: { enabled: true }, clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    userinfo: { enabled: true },
    // Who asks for a resource gets an access token that is a JWT for it (RFC 8707, RFC 9068).
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (ctx, audience) => ({
        scope: 'openid', audience, accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  issueRefreshToken: async () => true,
  findAccount: (ctx, id) => {
    const known = people()[id];
    return known && {
      accountId: id,
      claims: () => ({
        sub: id, preferred_username: known.name ?? id, email: known.email ?? `${id}@example.test`,
        email_verified: known.verified ?? true, groups: known.groups ?? [],
      }),
    };
  },
  pkce: { required: () => true },
  cookies: { keys: ['only for tests'] },
  // Logout tokens go to the gateway, which is on loopback; the provider's own dispatcher refuses such addresses.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  renderError: (ctx, out) => { ctx.type = 'text'; ctx.body = JSON.stringify(out); },
});
oidc.on('backchannel.error', (ctx, error, client, sub) => console.log('backchannel', sub, error));
oidc.on('server_error', (ctx, error) => console.log(error));
oidc.listen(port, '127.0.0.1', () => console.log('ready'));
