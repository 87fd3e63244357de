// PowerSync's client on SQLite, which gets the records from stream.mjs: only what happens on the device is measured.
import { column, PowerSyncDatabase, Schema, Table } from '@powersync/node';

export const only = ['W2', 'W7'];
const SYNC_SECONDS_MAX = 60;
const FIELDS = [
  ...['title', 'description', 'status', 'priority', 'property_id', 'contractor_id', 'due_date', 'cost', 'tags'],
  'updated_at',
];
const columns = Object.fromEntries(FIELDS.map((name) => [name, name === 'cost' ? column.integer : column.text]));
const INSERT = `INSERT INTO work_order (id, ${FIELDS}) VALUES (?${', ?'.repeat(FIELDS.length)})`;
const toRow = (record) => [record.id, ...FIELDS.map((name) => (name === 'tags' ? JSON.stringify(record.tags) : record[name]))];

export async function open(name, { port, folder }) {
  const schema = new Schema({ work_order: new Table(columns) });
  const database = new PowerSyncDatabase({ schema, database: { dbFilename: `${name}.db`, dbLocation: folder } });
  await database.init();

  return {
    path: `${folder}/${name}.db`,
    add: (record) => database.execute(INSERT, toRow(record)),
    addAll: (records) => database.executeBatch(INSERT, records.map(toRow)),
    read: (id) => database.getOptional('SELECT * FROM work_order WHERE id = ?', [id]),
    async pull() {
      const fetchCredentials = async () => ({ endpoint: `http://127.0.0.1:${port}`, token: 'none' });
      await database.connect({ fetchCredentials, uploadData: async () => {} }, { connectionMethod: 'http' });
      await database.waitForFirstSync(AbortSignal.timeout(SYNC_SECONDS_MAX * 1000));
    },
    settle: () => database.getAll('PRAGMA wal_checkpoint(TRUNCATE)'),
    close: () => database.close(),
  };
}
