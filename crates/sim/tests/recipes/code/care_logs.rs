use landfall_client::db::{DbError, WriteTx};
use landfall_core::{RowKey, Value};

/// What was given, to whom, by whom.
pub struct Dose<'a> {
    pub patient: Value,
    pub medicine: &'a str,
    pub micrograms: i64,
    pub by: &'a str,
}

/// Records a dose. `id` is made when the form is opened, so that a second tap on "Given" records nothing more.
pub fn give(tx: &mut WriteTx<'_>, id: &Value, dose: &Dose<'_>) -> Result<(), DbError> {
    if tx.row("doses", &RowKey::single(id.clone()))?.is_some() {
        return Ok(());
    }
    tx.insert(
        "doses",
        &[
            ("id", id.clone()),
            ("patient", dose.patient.clone()),
            ("medicine", dose.medicine.into()),
            ("micrograms", dose.micrograms.into()),
            ("by", dose.by.into()),
        ],
    )
}

/// Strikes a record that is wrong. What was written stays; who reads it sees that it was struck, by whom and why.
pub fn strike(tx: &mut WriteTx<'_>, dose: &Value, by: &str, why: &str) -> Result<(), DbError> {
    tx.insert("strikes", &[("dose", dose.clone()), ("by", by.into()), ("why", why.into())])
}

/// A refused dose was written for the wrong patient: the same dose for the right one takes its place.
pub fn readdress(tx: &mut WriteTx<'_>, refused: u64, dose: &Value, patient: &Value) -> Result<(), DbError> {
    tx.retry(refused)?;
    tx.update("doses", &RowKey::single(dose.clone()), &[("patient", patient.clone())]).map(|_| ())
}
