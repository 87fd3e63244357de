// PouchDB Server's own Express app over LevelDB: node server.mjs PORT FOLDER
import express from 'express';
import expressPouchDB from 'express-pouchdb';
import PouchDB from 'pouchdb';

const [port, folder] = process.argv.slice(2);
process.chdir(folder); // It keeps its log and its settings where it runs.
const Stored = PouchDB.defaults({ prefix: `${folder}/` });
const app = express();
app.use('/', expressPouchDB(Stored, { mode: 'minimumForPouchDB' }));
app.listen(Number(port), '127.0.0.1');
