use std::fmt;
use std::str::FromStr;

use super::Request;
use super::percent::decode;
use crate::error::{ApiError, Code};

/// The query parameters of a request. Unknown ones are ignored.
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// Returns the query of a request.
    pub fn of(request: &'a Request) -> Self {
        Self(&request.query)
    }

    /// Reads an optional `true` or `false`; the default is `false`.
    ///
    /// # Errors
    /// The parameter has another value or is given more than once.
    pub fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        match self.text(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            _ => Err(invalid(name, format!("{name} must be true or false"))),
        }
    }

    /// Reads an optional parameter. An empty one counts as absent.
    ///
    /// # Errors
    /// The type rejects it, or it is given more than once.
    pub fn get<T: FromStr<Err: fmt::Display>>(&self, name: &'static str) -> Result<Option<T>, ApiError> {
        self.get_by(name, str::parse)
    }

    /// Reads an optional parameter with the function `parse`.
    ///
    /// # Errors
    /// `parse` rejects it, or it is given more than once.
    pub fn get_by<T, E: fmt::Display>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ApiError> {
        self.text(name)?
            .filter(|text| !text.is_empty())
            .map(|text| parse(&text).map_err(|error| invalid(name, error)))
            .transpose()
    }

    /// Decodes a parameter. `+` is a space, as in the encoding of HTML forms.
    fn text(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        let pairs = self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let is_named =
            |given: &str| given == name || given.contains('%') && decode(given).is_ok_and(|given| given == name);
        let mut values = pairs.filter_map(|(given, value)| is_named(given).then_some(value));
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(invalid(name, format!("{name} must be given only once")));
        }
        let value = value.replace('+', " ");
        match decode(&value) {
            Ok(text) => Ok(Some(text.into_owned())),
            Err(_) => Err(invalid(name, format!("{name} must be percent-encoded UTF-8"))),
        }
    }
}

fn invalid(name: &'static str, message: impl ToString) -> ApiError {
    ApiError::invalid(name, Code::InvalidRequest, message)
}
