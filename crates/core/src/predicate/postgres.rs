//! What lowered predicates call on PostgreSQL.

use super::like;

/// A script that creates, or replaces, the functions that lowered predicates use on PostgreSQL 15 or newer
/// ([`super::Dialect::Postgres`]), in the first schema of the search path. The database's encoding has to be UTF8.
///
/// The statements need no privilege but `CREATE` on the schema, may run again at any time, and belong into one
/// transaction: a running statement sees all of them or none.
///
/// ```
/// use landfall_core::predicate::postgres_functions;
///
/// assert!(postgres_functions().contains("CREATE OR REPLACE FUNCTION landfall_compare("));
/// ```
pub fn postgres_functions() -> String {
    /// Characters to a part: few scripts to each, and few steps for a text of one script.
    const PART: usize = 64;
    // The mapping of this build, so that device, server and database fold alike whatever Unicode each of them knows.
    let mapped = ('\u{80}'..=char::MAX).map(|upper| (upper, like::lower(upper)));
    let mapped: Vec<(char, char)> = mapped.filter(|(upper, lower)| upper != lower).collect();
    let parts = mapped.chunks(PART).map(|part| {
        let (upper, lower): (String, String) = part.iter().copied().unzip();
        format!("  IF t COLLATE \"C\" ~ '[{upper}]' THEN t := translate(t, '{upper}', '{lower}'); END IF;\n")
    });
    include_str!("postgres.sql").replace("{parts}", &parts.collect::<String>())
}
