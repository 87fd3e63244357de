// PouchDB on LevelDB, replicating with its server; batches as its documentation has them by default.
import PouchDB from 'pouchdb';

const BATCHES = { batch_size: 100, batches_limit: 10 };
const SAVED_AT_ONCE = 1000;

const toDocument = ({ id, ...fields }) => ({ _id: id, ...fields });
const toRecord = ({ _id, _rev, _conflicts, ...fields }) => ({ id: _id, ...fields });

export async function open(name, { port, folder, space }) {
  const path = `${folder}/${name}`;
  const local = new PouchDB(path);
  const remote = new PouchDB(`http://127.0.0.1:${port}/${space}`);
  await local.info();
  const waiting = new Map();
  let connection;
  let changes;

  return {
    path,
    add: (record) => local.put(toDocument(record)),
    async addAll(records) {
      for (let start = 0; start < records.length; start += SAVED_AT_ONCE) {
        await local.bulkDocs(records.slice(start, start + SAVED_AT_ONCE).map(toDocument));
      }
    },
    read: (id) => local.get(id).then(toRecord),
    async edit(edits) {
      const found = await local.allDocs({ keys: edits.map(({ id }) => id), include_docs: true });
      await local.bulkDocs(found.rows.map(({ doc }, at) => ({ ...doc, [edits[at].field]: edits[at].value })));
    },
    push: () => local.replicate.to(remote, BATCHES),
    pull: () => local.replicate.from(remote, BATCHES),
    sync: () => local.sync(remote, BATCHES),
    async connect() {
      connection = local.sync(remote, { ...BATCHES, live: true });
      changes = local.changes({ live: true, since: 'now', include_docs: true });
      changes.on('change', ({ id, doc }) => waiting.get(id)?.(doc));
    },
    async disconnect() {
      changes.cancel();
      await new Promise((resolve) => {
        connection.on('complete', resolve);
        connection.cancel();
      });
    },
    arrival: ({ id, field, value }) =>
      new Promise((resolve) => {
        waiting.set(id, (document) => document[field] === value && resolve());
      }),
    async kept(id) {
      const { _conflicts = [] } = await local.get(id, { conflicts: true });
      return Promise.all(_conflicts.map((rev) => local.get(id, { rev }).then(toRecord)));
    },
    close: () => local.close(),
  };
}
