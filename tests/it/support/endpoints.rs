use shared::http::Route;

/// Every endpoint: its folder in `functions/` and its route. The tests that compare lists start from this one.
pub fn endpoints() -> [(&'static str, Route); 6] {
    [
        ("register", register::ROUTE),
        ("token", token::ROUTE),
        ("data-create", data_create::ROUTE),
        ("data-get", data_get::ROUTE),
        ("data-update", data_update::ROUTE),
        ("data-delete", data_delete::ROUTE),
    ]
}
