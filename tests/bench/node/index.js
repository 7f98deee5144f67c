// The Node peer: GET and PUT of a value, as an experienced Node team would write a fast function. One connection, named
// statements, verification of HS256 tokens by node:crypto, JSON written by hand where its form is fixed, one line of log
// for each request. The loop at the end does what Amazon's runtime client does, over one kept-alive connection.
'use strict';

const { createHmac, createSecretKey, timingSafeEqual } = require('node:crypto');
const http = require('node:http');
const { Client, types } = require('pg');

const SELECT = {
  name: 'select',
  text: `
    with session as (
        select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
    )
    select d.value, d.version, d.created_at, d.updated_at, d.expires_at
    from session
    left join data_store d
        on d.user_id = session.user_id and d.key = $4 and (d.expires_at is null or d.expires_at > $3)`,
};

const UPDATE = {
  name: 'update',
  text: `
    with session as (
        select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
    ), target as (
        select d.user_id from session join data_store d
            on d.user_id = session.user_id and d.key = $4 and (d.expires_at is null or d.expires_at > $3)
    ), clock as (
        insert into data_clock as c (user_id, version)
        select user_id, 1 from target
        on conflict (user_id) do update set version = c.version + 1
        returning user_id, version
    ), written as (
        update data_store as d set
            value = $5,
            version = clock.version,
            updated_at = $3,
            expires_at = null,
            replaced_bytes = octet_length(d.key) + octet_length(d.value)
        from clock
        where d.user_id = clock.user_id and d.key = $4 and (d.expires_at is null or d.expires_at > $3)
        returning d.user_id, d.version, d.created_at, d.updated_at, d.expires_at, d.replaced_bytes
    ), usage as (
        update data_usage as u set
            bytes = u.bytes + octet_length($4) + octet_length($5) - written.replaced_bytes,
            keys_allowed = greatest($6, u.keys),
            bytes_allowed = greatest($7, u.bytes)
        from written where u.user_id = written.user_id
    )
    select w.version, w.created_at, w.updated_at, w.expires_at
    from session left join written w on w.user_id = session.user_id`,
};

const QUOTA = [100_000, 268_435_456];

// Versions are far below 2^53, and the client sends times on as they are.
types.setTypeParser(types.builtins.INT8, Number);
types.setTypeParser(types.builtins.TIMESTAMPTZ, (text) => new Date(text).toISOString());

const key = createSecretKey(Buffer.from(process.env.JWT_SECRET));
const client = new Client({ connectionString: process.env.DATABASE_URL });
// All tokens of an issuer have the same header.
let acceptedHeader;

class Problem extends Error {
  constructor(status, code) {
    super(code);
    this.status = status;
  }
}

function isAccepted(header) {
  if (header !== acceptedHeader) {
    const { alg, typ, crit } = JSON.parse(Buffer.from(header, 'base64url'));
    if (alg !== 'HS256' || typ !== 'at+jwt' || crit !== undefined) return false;
    acceptedHeader = header;
  }
  return true;
}

function session(event, now) {
  const authorization = event.headers.authorization ?? '';
  if (!authorization.startsWith('Bearer ')) throw new Problem(401, 'unauthorized');
  const token = authorization.slice(7);
  const first = token.indexOf('.');
  const last = token.lastIndexOf('.');
  const expected = createHmac('sha256', key).update(token.slice(0, last)).digest();
  const signature = Buffer.from(token.slice(last + 1), 'base64url');
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) throw new Problem(401, 'invalid_token');
  if (!isAccepted(token.slice(0, first))) throw new Problem(401, 'invalid_token');
  const claims = JSON.parse(Buffer.from(token.slice(first + 1, last), 'base64url'));
  const seconds = now.getTime() / 1000;
  const isCurrent = claims.exp + 5 > seconds && Math.max(claims.nbf, claims.iat) <= seconds + 5;
  if (claims.iss !== 'keyhold' || claims.aud !== 'keyhold' || !isCurrent) throw new Problem(401, 'invalid_token');
  return claims;
}

function readKey(event) {
  const name = event.pathParameters?.key;
  if (!name || Buffer.byteLength(name) > 900 || name.includes('\0')) throw new Problem(400, 'invalid_key');
  return name;
}

function entry(name, value, row) {
  const expiry = row.expires_at === null ? '' : `,"expires_at":"${row.expires_at}"`;
  return `{"key":${JSON.stringify(name)},"value":${value},"version":${row.version},"created_at":"${row.created_at}",` +
    `"updated_at":"${row.updated_at}"${expiry}}`;
}

function response(statusCode, body, etag) {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
  if (etag !== undefined) headers.etag = `"${etag}"`;
  return { statusCode, headers, body, isBase64Encoded: false };
}

async function get(event, now) {
  const { sub, sid } = session(event, now);
  const name = readKey(event);
  const { rows: [row] } = await client.query({ ...SELECT, values: [sub, sid, now, name] });
  if (row === undefined) throw new Problem(401, 'session_ended');
  if (row.version === null) throw new Problem(404, 'not_found');
  return response(200, `{"status":"success","data":${entry(name, row.value, row)}}`, row.version);
}

async function put(event, now) {
  const { sub, sid } = session(event, now);
  const name = readKey(event);
  const body = JSON.parse(event.isBase64Encoded ? Buffer.from(event.body, 'base64') : event.body);
  if (body?.value === undefined) throw new Problem(400, 'missing_fields');
  const value = JSON.stringify(body.value);
  const { rows: [row] } = await client.query({ ...UPDATE, values: [sub, sid, now, name, value, ...QUOTA] });
  if (row === undefined) throw new Problem(401, 'session_ended');
  if (row.version === null) throw new Problem(404, 'not_found');
  return response(200, `{"status":"success","message":"Value stored","data":${entry(name, value, row)}}`, row.version);
}

async function handle(event) {
  const now = new Date();
  const { method } = event.requestContext.http;
  let answer;
  try {
    answer = await (method === 'PUT' ? put : get)(event, now);
  } catch (error) {
    if (!(error instanceof Problem)) console.error(error);
    const code = error instanceof Problem ? error.message : 'internal_error';
    answer = response(error.status ?? 500, `{"status":"error","code":"${code}"}`);
  }
  process.stdout.write(`{"timestamp":"${now.toISOString()}","level":"INFO","message":"request","route":"${event.routeKey}",` +
    `"status":${answer.statusCode},"request_id":"${event.requestContext.requestId}","duration_ms":${Date.now() - now}}\n`);
  return answer;
}

const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const request = http.request({ hostname, port, agent, method, path: `/2018-06-01/runtime/${path}`, headers }, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', () => resolve({ headers: answer.headers, body: chunks.length === 1 ? chunks[0] : Buffer.concat(chunks) }));
      answer.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function main() {
  await client.connect();
  for (;;) {
    const { headers, body } = await call('GET', 'invocation/next');
    const answer = await handle(JSON.parse(body));
    await call('POST', `invocation/${headers['lambda-runtime-aws-request-id']}/response`, JSON.stringify(answer));
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
