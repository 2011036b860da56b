//! Keys that stand beside those of a choice. serde cannot be strict about flattened structs, so the shared ones are
//! taken out first, and each part is read strictly.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde_json::{Map, Value};

/// A table in two parts: what is under `keys`, and the rest.
pub(crate) fn take_out<'de, D, Shared, Rest>(from: D, keys: &[&str]) -> Result<(Shared, Rest), D::Error>
where
    D: Deserializer<'de>,
    Shared: DeserializeOwned,
    Rest: DeserializeOwned,
{
    let table = Map::deserialize(from)?;
    let (shared, rest): (Map<_, _>, Map<_, _>) =
        table.into_iter().partition(|(key, _)| keys.contains(&key.as_str()));
    let shared = serde_json::from_value(Value::Object(shared)).map_err(D::Error::custom)?;
    let rest = serde_json::from_value(Value::Object(rest)).map_err(|why| match why.to_string() {
        // The list of what there is, which the message ends with, is of the rest alone.
        message if message.starts_with("unknown field") => {
            let keys = keys.iter().map(|key| format!(", `{key}`")).collect::<String>();
            D::Error::custom(message + &keys)
        }
        message => D::Error::custom(message),
    })?;
    Ok((shared, rest))
}
