//! What follows the `?` of a URL.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::UrlError;

/// The parameters that have not been taken yet.
#[derive(Debug)]
pub(super) struct Parameters {
    left: Vec<(String, String)>,
    scheme: &'static str,
    example: &'static str,
}

impl Parameters {
    pub(super) fn parse(
        query: &str,
        scheme: &'static str,
        example: &'static str,
    ) -> Result<Self, UrlError> {
        let mut parameters = Self { left: Vec::new(), scheme, example };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(parameters.wrong(pair, "it has no value"));
            };
            let value = decode(value).map_err(|reason| parameters.wrong(name, reason))?;
            if value.is_empty() {
                return Err(parameters.wrong(name, "its value is empty"));
            }
            parameters.left.push((name.to_owned(), value));
        }
        Ok(parameters)
    }

    pub(super) const fn example(&self) -> &'static str {
        self.example
    }

    /// Every value of a parameter that may be repeated.
    pub(super) fn take_all(&mut self, name: &str) -> Vec<String> {
        self.left.extract_if(.., |(given, _)| given == name).map(|(_, value)| value).collect()
    }

    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, UrlError> {
        let mut values = self.take_all(name);
        if values.len() > 1 {
            return Err(self.wrong(name, "it is given more than once"));
        }
        Ok(values.pop())
    }

    #[cfg(feature = "dns")]
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        name: &str,
        form: &str,
    ) -> Result<Option<T>, UrlError> {
        let value = self.take(name)?.map(|value| value.parse()).transpose();
        value.map_err(|_| self.wrong(name, form))
    }

    /// A number and `ms`, `s` or `m`.
    pub(super) fn duration(&mut self, name: &str) -> Result<Option<Duration>, UrlError> {
        let Some(text) = self.take(name)? else { return Ok(None) };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit_ms = match unit {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            _ => None,
        };
        let number = u64::from_str(number).ok();
        let ms = unit_ms.zip(number).and_then(|(unit_ms, number)| number.checked_mul(unit_ms));
        ms.map(|ms| Some(Duration::from_millis(ms)))
            .ok_or_else(|| self.wrong(name, format!("{text:?} is no time such as 2s or 500ms")))
    }

    /// Whatever was not taken is not known.
    pub(super) fn finish(self) -> Result<(), UrlError> {
        match self.left.first() {
            Some((name, _)) => {
                Err(self.wrong(name, format!("`{}:` has no such parameter", self.scheme)))
            }
            None => Ok(()),
        }
    }

    pub(super) fn wrong(&self, name: &str, reason: impl Display) -> UrlError {
        UrlError::Parameter {
            name: name.to_owned(),
            reason: reason.to_string(),
            example: self.example,
        }
    }
}

/// Percent-decodes a text (RFC 3986 section 2.1).
pub(super) fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (Some(high), Some(low)) =
            (after.first().copied().and_then(digit), after.get(1).copied().and_then(digit))
        else {
            return Err("two hexadecimal digits follow a %".to_owned());
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned())
}
