//! Landfall: schema, values, stamps, merge rules, predicates, validation. No I/O.
