//! The part of a URL after the question mark.

use super::refusal::Refusal;

/// The values of `names`, in their order. Names that are unknown or named twice are refused: a
/// mistyped one must not be ignored in silence.
pub(super) fn values<const N: usize>(
    query: Option<&str>,
    names: [&str; N],
) -> Result<[Option<String>; N], Refusal> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let Some(place) = names.iter().position(|known| *known == name) else {
            let known = match names.as_slice() {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            return Err(Refusal::invalid(format!("{name:?} is no parameter here; use {known}")));
        };
        if values[place].replace(value.into_owned()).is_some() {
            return Err(Refusal::invalid(format!("{name} is given twice")));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_wrong_names_refused() {
        let found = values(Some("n=3&key=driver%2042+x"), ["key", "n"]).unwrap();
        assert_eq!(found, [Some("driver 42 x".to_owned()), Some("3".to_owned())]);
        assert_eq!(values(None, ["key"]).unwrap(), [None]);
        assert!(values(Some("ky=1"), ["key"]).is_err());
        assert!(values(Some("key=1&key=2"), ["key"]).is_err());
    }
}
