use super::*;

#[test]
fn a_password_file_is_read_or_the_line_is_named() {
    let name = |line| matches!(line, Err(UsersError::Name { line: 2, .. }));
    for bad in [":p", " a:p", "a :p", "a\"b:p", "a\\b:p", "a\tb:p", &format!("{}:p", "n".repeat(65))] {
        assert!(name(Users::parse(&format!("#\n{bad}")).map(|_| ())), "{bad}");
    }
    for bad in ["a:", "a:secret\0", &format!("a:{}", "secret".repeat(50))] {
        let fault = Users::parse(bad).expect_err(bad);
        assert!(matches!(fault, UsersError::Password { line: 1, .. }), "{bad}");
        assert!(!format!("{fault} {fault:?}").contains("secret"));
    }
    assert_eq!(Users::parse("a:1\nsecret").map(|_| ()), Err(UsersError::NoColon { line: 2 }));
    assert_eq!(Users::parse("a:1\n\na:2").map(|_| ()), Err(UsersError::Twice { line: 3 }));
    assert_eq!(Users::parse("# a:1\n \n").map(|_| ()), Err(UsersError::Nobody));
    let many: String = (0..257).map(|number| format!("user{number}:p\n")).collect();
    assert_eq!(Users::parse(&many).map(|_| ()), Err(UsersError::TooMany { line: 257 }));
    assert!(Users::parse("\u{feff}jürgen:pässwörd").is_ok_and(|users| users.find("jürgen").0 == Some(0)));
}
