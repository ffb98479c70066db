use super::*;
use proptest::prelude::*;

fn entries(items: &[Item]) -> Vec<String> {
    let shown = items.iter().flat_map(|item| match &item.kind {
        Kind::Entry(kernel) => vec![format!("{}: {} {}", item.title, kernel.path, kernel.command_line)],
        Kind::Submenu(items) => {
            entries(items).iter().map(|entry| format!("{}>{entry}", item.title)).collect()
        }
        Kind::LoaderEntries => vec!["entries".into()],
    });
    shown.collect()
}

fn read(text: &str) -> Vec<String> {
    entries(&menu(text, None).unwrap().items)
}

#[test]
fn a_body_runs_with_the_variables_as_the_script_leaves_them() {
    let text = "set a=1\nmenuentry x { linux /k a=$a b=$b }\n\
                set a=2; menuentry y --id=z {\n set b=3; linux /l $b\n}";
    assert_eq!(read(text), ["x: /k a=2 b=", "y: /l 3"]);
}

#[test]
fn conditions_select_what_runs() {
    for (condition, holds) in [
        ("[ a = a ]", true),
        ("[ ! a = a ]", false),
        ("[ -z \"$nothing\" -a x ]", true),
        ("[ \"$nothing\" -o x$nothing = x ]", true),
        ("test 10 -gt 9", true),
        ("[ 10 -lt 9 ]", false),
        ("[ -f /boot/grub/custom.cfg ]", false),
        ("[ ]", false),
        ("false", false),
        ("true", true),
        ("insmod gzio", true),
    ] {
        let text = format!(
            "if {condition}; then menuentry yes {{ linux /k }}; else menuentry no {{ linux /k; }}; fi"
        );
        let expected = if holds { "yes: /k " } else { "no: /k " };
        assert_eq!(read(&text), [expected], "{condition}");
    }
}

#[test]
fn functions_have_arguments_of_their_own() {
    let text =
        "function f { set a=$1; g; }\nfunction g { set b=x$1; }\nf 7\nmenuentry m { linux /k $a $b $1 }";
    assert_eq!(read(text), ["m: /k 7 x"]);
}

#[test]
fn values_outside_of_quotes_are_split() {
    let text = "set a='b  c'\nmenuentry m { linux /k $a \"$a\" x${a}y 'it''s' say=\\\"hi\\\" }";
    assert_eq!(read(text), ["m: /k b c \"b  c\" xb cy its say=\\\"hi\\\""]);
}

#[test]
fn the_last_search_counts_and_devices_are_no_names() {
    let place = |search: &str| {
        let menu = menu(&format!("menuentry m {{ {search}\nlinux /k }}"), None).unwrap();
        match &menu.items[0].kind {
            Kind::Entry(kernel) => kernel.place.clone(),
            other => panic!("{other:?}"),
        }
    };
    let uuid = |uuid: &str| Some(Place::Uuid(uuid.into()));
    assert_eq!(place("search --no-floppy --fs-uuid --set=root --hint hd0,gpt2 ab-cd"), uuid("ab-cd"));
    assert_eq!(place("search -n -u --set=root ab-cd"), uuid("ab-cd"));
    assert_eq!(place("search.fs_uuid ab-cd root hd0"), uuid("ab-cd"));
    assert_eq!(place("search --label --set root boot"), Some(Place::Label("boot".into())));
    assert_eq!(place("set root=hd0"), None);
}

#[test]
fn a_hostile_script_ends() {
    let doubling = "set a=x$a$a\n".repeat(64);
    let mutual = "function f { g; g; g; g }\nfunction g { f; f; f; f }\n".to_owned() + &"f; g\n".repeat(2000);
    let menus = "submenu a { ".repeat(60) + &"} ".repeat(60);
    for text in [doubling, mutual] {
        let error = menu(&text, None).unwrap_err().to_string();
        assert!(error.contains("at most a million commands"), "{error}");
    }
    assert_eq!(read(&menus), [""; 0]);
}

#[test]
fn a_doubled_angle_bracket_is_part_of_a_title() {
    assert_eq!(path("a>b>>c>0"), ["a", "b>c", "0"]);
    assert_eq!(path(""), [""]);
}

#[test]
fn variables_in_options_are_replaced() {
    let variables = BTreeMap::from([("kernelopts".to_owned(), "ro quiet".to_owned())]);
    assert_eq!(substituted("$kernelopts ${kernelopts}x $none, 5$", &variables), "ro quiet ro quietx , 5$");
}

proptest! {
    #[test]
    fn any_script_is_run(
        text in "(if|then|fi|\\[ a \\]|menuentry|submenu|[{};\n '\"$]|set a=\\$a|linux|\\PC){0,40}"
    ) {
        let _ = menu(&text, None);
    }
}
