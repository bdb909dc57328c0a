SELECT "club", "person", "since" FROM "members_history" WHERE change_id IN (SELECT id FROM
  (SELECT change_id AS id, change_kind AS kind, max(change_seq) FROM "members_history"
   WHERE (change_at <= ? OR change_at IS NULL) AND change_kind <> 'lost' GROUP BY change_row)
  WHERE kind <> 'delete')
UNION ALL SELECT "club", "person", "since" FROM "members" AS now
  WHERE NOT EXISTS (SELECT 1 FROM "members_history" AS past
    WHERE past."club" = now."club" AND past."person" = now."person" AND past.change_kind <> 'lost')
