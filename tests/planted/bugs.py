"""Mistakes that somebody could make in our own code, each as a replacement of a few lines in a copy of it.

A bug is `(file, what stands there, what stands there instead)`. The texts are searched, so that a bug goes on fitting
while the lines around it move; one that fits no more fails the test by name.
"""

from typing import NamedTuple


class Bug(NamedTuple):
    """One mistake: `right` stands exactly once in `file`, a path inside `rightfit_sync`."""

    name: str
    file: str
    right: str
    wrong: str


BUGS = (
    Bug(
        "a naive cursor jumps to the head of the feed",
        "testing/authority.py",
        "seq = commits[size - 1] if left else self.head",
        "seq = self.head",
    ),
    Bug(
        "a page splits a commit",
        "feed.py",
        "while end > 0 and commits[end] == commits[end - 1]:\n        end -= 1",
        "while False:\n        end -= 1",
    ),
    Bug(
        "a change that was answered is decided again",
        "ingest/decide.py",
        "if receipt is not None:\n            if receipt.digest",
        "if receipt is not None and False:\n            if receipt.digest",
    ),
    Bug(
        "a dot is a dot, whatever its digest",
        "ingest/decide.py",
        "if receipt.digest != pushed.digest:",
        "if False:",
    ),
    Bug(
        "the version vector is pruned",
        "apply.py",
        "version_vector=advance(known.version_vector, change.dot),",
        "version_vector=dict(list(advance(known.version_vector, change.dot).items())[-2:]),",
    ),
    Bug(
        "a text forgets the base of its run",
        "outbox.py",
        "    fields = trunk.fields if shown.entity is None else shown.entity.fields\n    return {",
        "    fields = trunk.fields if shown.entity is None else shown.entity.fields\n    return {} if fields else {",
    ),
    Bug(
        "a text with unsent edits goes on with the trunk",
        "merge/text.py",
        "    freezes_view = True\n",
        "    freezes_view = False\n",
    ),
    Bug(
        "a text leaves its run before all of it is acknowledged",
        "outbox.py",
        "staying = [entry for entry in done if _is_of(held, entry, schema)]",
        "staying: list[Entry] = []",
    ),
    Bug(
        "the whole outbox is cleared on acknowledgement",
        "replica.py",
        "                refused += self._settle(entry, answered[entry.change.dot].outcome)\n",
        "                refused += self._settle(entry, answered[entry.change.dot].outcome)\n"
        "            self.store.drop_entries([entry.change.dot for entry in self.store.pending()])\n",
    ),
    Bug(
        "an acknowledged change leaves before the trunk has it",
        "replica.py",
        "            self.store.put_entry(replace(entry, outcome=outcome))\n            return []",
        "            self.store.drop_entries([change.dot])\n            return []",
    ),
    Bug(
        "tombstones are collected without anybody being told",
        "testing/authority.py",
        "self.horizon = max(self.horizon, held.commit)",
        "pass",
    ),
    Bug(
        "the later clock wins",
        "field.py",
        '    return Merged(sorted_siblings([*left, mine]), "conflicted", suggestion)',
        '    return Merged([max([*left, mine], key=lambda one: one.written_at)], "merged", suggestion)',
    ),
    Bug(
        "a resolution replaces one sibling",
        "changes.py",
        "replaces=sorted({dot.dot for one in siblings for dot in one.dots}))",
        "replaces=sorted(dot.dot for dot in shown(siblings).dots) if siblings else [])",
    ),
    Bug(
        "a routine edit closes a conflict that nobody looked at",
        "changes.py",
        "    replaced = _seen(siblings, path, kind)\n",
        "    replaced = list(siblings)\n",
    ),
    Bug(
        "a counter is added twice",
        "merge/counter.py",
        "total = _EXACT.subtract(_EXACT.add(left, right), start)",
        "total = _EXACT.add(left, right)",
    ),
    Bug(
        "two equal counts are one",
        "merge/counter.py",
        "    coalesces = False\n",
        "    coalesces = True\n",
    ),
    Bug(
        "what is evicted takes its pending edits along",
        "replica.py",
        "            self.store.drop_trunks(evicted)\n",
        "            self.store.drop_trunks(evicted)\n"
        "            for queue in self.store.entries(evicted).values():\n"
        "                self.store.drop_entries([entry.change.dot for entry in queue])\n",
    ),
    Bug(
        "what is evicted stays",
        "replica.py",
        "            self.store.drop_trunks(evicted)\n",
        "",
    ),
    Bug(
        "a new grant brings nothing that lies below the cursor",
        "testing/authority.py",
        "place = replace(place, tags_seq=grant.number, backfill=0)",
        "place = replace(place, tags_seq=grant.number)",
    ),
    Bug(
        "a change under a new dot does not say which it was",
        "identity.py",
        "            was=first_name(change, entry.digest),\n",
        "            was=change.was,\n",
    ),
    Bug(
        "later changes go on naming the old dots",
        "identity.py",
        "            patches=replacing(change.patches, names),\n",
        "            patches=change.patches,\n",
    ),
    Bug(
        "nobody notices that the authority was restored",
        "testing/authority.py",
        "if not is_known or any(self._chains.get(seq) != chain for seq, chain in heard.items()):",
        "if False:",
    ),
    Bug(
        "a restore is noticed by the name of the epoch alone",
        "testing/authority.py",
        "if not is_known or any(self._chains.get(seq) != chain for seq, chain in heard.items()):",
        "if not is_known:",
    ),
    Bug(
        "nothing is offered to an authority that was restored",
        "reconcile.py",
        "for rows in _chunks(lacking, min(self._rows_max, OFFERS_PER_REQUEST_MAX)):",
        "for rows in _chunks(lacking[:0], OFFERS_PER_REQUEST_MAX):",
    ),
    Bug(
        "what was only acknowledged is not sent again after a restore",
        "replica.py",
        "                self.take_new_id(is_resending=True)\n",
        "                self.take_new_id()\n",
    ),
    Bug(
        "sequence numbers of another past are believed",
        "replica.py",
        "self.store.put_trunks([replace(row, seq=0) for row in rows.values()])",
        "self.store.put_trunks(rows.values())",
    ),
    Bug(
        "a join keeps what the other side knows to be replaced",
        "join.py",
        "    shown = _names(theirs, twins)\n",
        "    shown = _names([*ours, *theirs], twins)\n",
    ),
    Bug(
        "a join keeps one side",
        "join.py",
        "left.fields.get(path, ()), right.fields.get(path, ())\n",
        "left.fields.get(path, ()), left.fields.get(path, ())\n",
    ),
    Bug(
        "a removal removes what its author had not seen",
        "field.py",
        '        return Merged(sorted_siblings(left), "merged" if left else "applied")',
        '        return Merged([], "applied")',
    ),
    Bug(
        "a delete takes along edits that its author had not seen",
        "life.py",
        "    unseen = unseen_dots(entity, kind)\n    if not unseen and",
        "    unseen: list[WrittenDot] = []\n    if not unseen and",
    ),
    Bug(
        "a delete removes life records that its author had not seen",
        "life.py",
        "kept = [known for known in life if not record.saw(known.dot, twins)]",
        "kept: list[LifeRecord] = []",
    ),
    Bug(
        "half of a transaction is applied",
        "ingest/decide.py",
        "        outcomes = self._whole(group, fresh, outcomes)\n        if not all(",
        "        if len(group) > 500 and not all(",
    ),
    Bug(
        "the payload of a rejected change is dropped",
        "replica.py",
        "        self.store.put_rejected(refused)\n        return [refused]",
        "        return [refused]",
    ),
    Bug(
        "what builds on a rejected change is accepted",
        "ingest/decide.py",
        "                if dot in self._lost:\n",
        "                if False:\n",
    ),
    Bug(
        "two inserts at one place are not ordered alike",
        "merge/text.py",
        "return text.merge(base, mine, theirs) if mine_first else text.merge(base, theirs, mine)",
        "return text.merge(base, mine, theirs)[:-1] if mine_first else text.merge(base, theirs, mine)",
    ),
    Bug(
        "a text is undeleted",
        "text/transform.py",
        "        builder.keep(own if isinstance(other, int) else 0)",
        "        builder.keep(own)",
    ),
    Bug(
        "a lowered maximum stays lowered",
        "merge/extremum.py",
        "            if self._is_beyond(value, mine):\n",
        "            if False:\n",
    ),
    Bug(
        "a workflow goes to whatever came last",
        "merge/workflow.py",
        "        if mine_is_later == theirs_is_later:\n            return CONFLICT\n",
        "",
    ),
    Bug(
        "a group swallows the other's members",
        "merge/group.py",
        "            if name != lead and not kept:\n",
        "            if False:\n",
    ),
    Bug(
        "what is written once is written over",
        "merge/once.py",
        "return current is None or same(current, mine)",
        "return True",
    ),
    Bug(
        "an edit merges with a resolution that its author had not seen",
        "field.py",
        'op == "edit" and policy.merges and not left[0].resolved:',
        'op == "edit" and policy.merges:',
    ),
    Bug(
        "a create merges with the record that is there",
        "field.py",
        'if len(before) == 1 and op == "edit" and',
        'if len(before) == 1 and op != "resolve" and',
    ),
    Bug(
        "a change that is set aside leaves a gap",
        "replica.py",
        "        self.store.put_entry(Entry(void, entry.digest, len(encoded(void))))\n",
        "        self.store.drop_entries([change.dot])\n",
    ),
    Bug(
        "trying again does not say what was tried",
        "replica.py",
        "return replace(change, was=was, formerly=names_between(former))",
        "return change",
    ),
    Bug(
        "a collected record is born again",
        "ingest/decide.py",
        'if change.op == "create" and (change.kind, change.entity_id) in self._snapshot.collected:',
        "if False:",
    ),
    Bug(
        "a dot that two spent is not looked out for",
        "replica.py",
        "            self.take_new_id()\n\n    def take_new_id",
        "            pass\n\n    def take_new_id",
    ),
    Bug(
        "a reconciliation begun anew each time is never finished",
        "replica.py",
        "replace(self.store.state(), cursor=cursor, tags=tags, must_reconcile=False)",
        "replace(self.store.state(), cursor=cursor, tags=tags)",
    ),
    Bug(
        "a poison change stops the authority",
        "ingest/decide.py",
        "        except Exception as failure:",
        "        except ZeroDivisionError as failure:",
    ),
    Bug(
        "a change of an unknown kind is refused instead of put off",
        "ingest/decide.py",
        "return change.kind not in self._schema.kinds or ",
        "return False and ",
    ),
    Bug(
        "nobody is told of an orphan",
        "ingest/consequences.py",
        "                orphans.add(reference.path)\n",
        "                pass\n",
    ),
    Bug(
        "a cascade stops at the first record",
        "ingest/consequences.py",
        "        return self.follow(draft, before, change)\n",
        "        return None\n",
    ),
    Bug(
        "a page that does not come out is taken in as far as it goes",
        "exchange.py",
        "        self._takes_own = whole is not None\n        return whole",
        "        self._takes_own = whole is not None\n        return whole or page",
    ),
)
