// The collections that both sides of RxDB have: one for the measurement, one for the warm-up, one for the device alone.
import { createRxDatabase } from 'rxdb';
import { getRxStorageMemory } from 'rxdb/plugins/storage-memory';

const ID_LENGTH_MAX = 40;
const text = { type: 'string' };
const schema = {
  version: 0,
  primaryKey: 'id',
  type: 'object',
  properties: {
    id: { ...text, maxLength: ID_LENGTH_MAX },
    title: text,
    description: text,
    status: text,
    priority: text,
    property_id: text,
    contractor_id: { type: ['string', 'null'] },
    due_date: text,
    cost: { type: 'integer' },
    tags: { type: 'array', items: text },
    updated_at: text,
  },
};

export async function openDatabase(name, spaces) {
  const database = await createRxDatabase({ name, storage: getRxStorageMemory(), multiInstance: false });
  await database.addCollections(Object.fromEntries(spaces.map((space) => [space, { schema }])));
  return database;
}
