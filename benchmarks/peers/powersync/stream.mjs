// A stand-in for PowerSync's service, which is no npm package: it streams the records to the client from memory, in
// the protocol's newline-delimited JSON. It takes nothing, stores nothing and asks for no token.
//   node stream.mjs PORT FOLDER WORKLOAD
import fs from 'node:fs';
import http from 'node:http';
import { once } from 'node:events';

const PAGE = 1000;
const BUCKET = 'global[]';
const [port, , workloadFile] = process.argv.slice(2);
const { records } = JSON.parse(fs.readFileSync(workloadFile, 'utf8'));

const checksum = (at) => (at * 2654435761) >>> 0;
const operations = records.map(({ id, tags, ...fields }, at) => ({
  op_id: String(at + 1),
  op: 'PUT',
  object_type: 'work_order',
  object_id: id,
  subkey: String(at),
  checksum: checksum(at),
  data: JSON.stringify({ ...fields, tags: JSON.stringify(tags) }),
}));
const last = String(records.length);
const bucket = {
  bucket: BUCKET,
  count: records.length,
  checksum: records.reduce((sum, _, at) => (sum + checksum(at)) >>> 0, 0),
  priority: 3,
  subscriptions: [{ default: 0 }],
};
const streams = [{ name: 'global', is_default: true, errors: [] }];
const lines = [JSON.stringify({ checkpoint: { last_op_id: last, write_checkpoint: null, buckets: [bucket], streams } })];
for (let start = 0; start < operations.length; start += PAGE) {
  const page = operations.slice(start, start + PAGE);
  const next = start + page.length;
  const place = { bucket: BUCKET, after: String(start), next_after: String(next), has_more: next < operations.length };
  lines.push(JSON.stringify({ data: { ...place, data: page } }));
}
lines.push(JSON.stringify({ checkpoint_complete: { last_op_id: last } }));

async function answer(request, response) {
  await request.resume().toArray();
  if (!request.url.startsWith('/sync/stream')) {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ data: { write_checkpoint: '1' } }));
    return;
  }
  response.setHeader('content-type', 'application/x-ndjson');
  for (const line of lines) if (!response.write(`${line}\n`)) await once(response, 'drain');
}
http.createServer(answer).listen(Number(port), '127.0.0.1');
