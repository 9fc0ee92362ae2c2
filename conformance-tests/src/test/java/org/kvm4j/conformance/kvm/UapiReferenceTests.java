package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.kvm4j.conformance.kvm.ReferenceTable.Row;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.KvmExit;
import org.kvm4j.kvm.uapi.KvmIoctl;
import org.kvm4j.kvm.uapi.KvmIoctl.DataFlow;
import org.kvm4j.kvm.uapi.StructLayout;
import org.kvm4j.kvm.uapi.Structs;
import org.kvm4j.kvm.uapi.Uapi;

/** The constants and tables of the uapi package against the facts: every row, and nothing more. */
class UapiReferenceTests {

  /** The public int constants of a class. */
  private static Map<String, Integer> constants(Class<?> type) {
    Map<String, Integer> constants = new TreeMap<>();
    for (Field field : type.getFields()) {
      if (field.getType() == int.class && Modifier.isStatic(field.getModifiers())) {
        try {
          constants.put(field.getName(), field.getInt(null));
        } catch (IllegalAccessException e) {
          throw new AssertionError(e);
        }
      }
    }
    return constants;
  }

  private static Map<String, Integer> numbers(
      String table, String prefix, String nameColumn, String valueColumn) {
    Map<String, Integer> numbers = new TreeMap<>();
    for (Row row : ReferenceTable.rows(table)) {
      numbers.put(prefix + row.get(nameColumn), row.getInt(valueColumn));
    }
    return numbers;
  }

  // --- Ioctls

  static Stream<Row> ioctls() {
    return ReferenceTable.rows("ioctls.tsv").stream();
  }

  @Test
  void requestNumbersAreThoseOfTheTableAndNoOthers() {
    Map<String, Integer> expected = numbers("ioctls.tsv", "", "name", "number");
    Map<String, Integer> actual = constants(Ioctls.class);
    assertEquals(0xae, actual.remove("KVMIO"));
    assertEquals(expected, actual);
    assertEquals(
        expected.keySet(),
        Arrays.stream(KvmIoctl.values()).map(Enum::name).collect(Collectors.toSet()));
    assertEquals(expected.size(), new HashSet<>(expected.values()).size(), "numbers are unique");
  }

  @ParameterizedTest
  @MethodSource("ioctls")
  void ioctlIsAsTheTableHasIt(Row row) {
    KvmIoctl ioctl = KvmIoctl.valueOf(row.get("name"));
    assertAll(
        () -> assertEquals(row.getInt("number"), ioctl.number()),
        () -> assertEquals(ioctl, KvmIoctl.of(row.getInt("number")).orElseThrow()),
        () -> assertEquals(row.get("encoding"), ioctl.encoding().macro()),
        () -> assertEquals(row.get("argument"), ioctl.argument()),
        () -> assertEquals(row.getInt("sizeof"), ioctl.argumentSize()),
        () -> assertEquals(row.get("tier"), ioctl.tier().name()),
        () -> assertEquals(kind(row.get("fd")), ioctl.home().name()),
        () ->
            assertEquals(
                row.getList("fds").stream()
                    .map(UapiReferenceTests::kind)
                    .collect(Collectors.toSet()),
                ioctl.fdKinds().stream().map(Enum::name).collect(Collectors.toSet())),
        () ->
            assertEquals(
                row.getList("caps"), ioctl.capabilities().stream().map(Enum::name).toList()),
        () -> {
          // The table does not tell it for the ioctls that are newer than its source.
          if (!row.get("flow").equals("-")) {
            assertEquals(row.get("flow"), ioctl.dataFlow().text());
          }
        },
        () -> {
          // The number carries type, size and direction.
          assertEquals(Ioctls.KVMIO, ioctl.number() >>> 8 & 0xff);
          if (ioctl.encoding() != KvmIoctl.Encoding.NONE) {
            assertEquals(ioctl.argumentSize(), ioctl.encodedSize());
          } else {
            assertEquals(0, ioctl.encodedSize());
          }
        });
  }

  private static String kind(String fd) {
    return fd.toUpperCase(Locale.ROOT);
  }

  /**
   * A tier A or B ioctl that takes a struct has that struct's layout stated, of the size it says.
   */
  @ParameterizedTest
  @MethodSource("ioctls")
  void argumentStructIsStated(Row row) {
    KvmIoctl ioctl = KvmIoctl.valueOf(row.get("name"));
    if (!ioctl.argument().startsWith("struct ")
        || ioctl.tier() == KvmIoctl.Tier.C
        || row.get("note").equals("newer than 6.1")) {
      return;
    }
    assertEquals(
        ioctl.argumentSize(),
        Structs.of(ioctl.argument().substring("struct ".length())).orElseThrow().size());
    assertTrue(ioctl.dataFlow() != DataFlow.NONE && ioctl.dataFlow() != DataFlow.VALUE);
  }

  // --- Capabilities, exits, flags

  @Test
  void capabilitiesAreThoseOfTheTableAndNoOthers() {
    Map<String, Integer> expected = numbers("capabilities.tsv", "", "name", "number");
    assertEquals(expected, constants(Caps.class));
    assertEquals(
        expected,
        new TreeMap<>(
            Arrays.stream(KvmCap.values()).collect(Collectors.toMap(Enum::name, KvmCap::number))));
    for (KvmCap cap : KvmCap.values()) {
      assertEquals(cap, KvmCap.of(cap.number()).orElseThrow());
    }
  }

  @Test
  void exitReasonsAreThoseOfTheTableAndNoOthers() {
    assertEquals(numbers("exits.tsv", "KVM_EXIT_", "name", "number"), constants(Exits.class));
    List<Row> rows = ReferenceTable.rows("exits.tsv");
    assertEquals(rows.size(), KvmExit.values().length);
    for (Row row : rows) {
      KvmExit exit = KvmExit.of(row.getInt("number")).orElseThrow();
      assertEquals(row.get("name"), exit.name());
      assertEquals(!row.get("when").contains("not x86"), exit.x86(), row::toString);
      String member = row.get("member");
      if (!member.equals("-")) { // Newer than the headers: the table tells the fields in words.
        assertEquals(member.equals("none") ? "" : member, exit.member());
      }
      for (String name : exit.member().split(" / ", -1)) {
        assertTrue(
            name.isEmpty()
                || Structs.of("kvm_run").orElseThrow().fields().stream()
                    .anyMatch(f -> f.name().equals(name) || f.name().startsWith(name + ".")),
            () -> "kvm_run has no member " + name);
      }
    }
  }

  @Test
  void otherConstantsAreThoseOfTheTableAndNoOthers() {
    assertEquals(numbers("constants.tsv", "", "name", "value"), constants(Uapi.class));
  }

  // --- Structs

  static Stream<String> structs() {
    return ReferenceTable.rows("structs.tsv").stream().map(r -> r.get("struct")).distinct();
  }

  @Test
  void structsAreThoseOfTheTableAndNoOthers() {
    assertEquals(
        structs().sorted().toList(),
        Structs.ALL.stream().map(StructLayout::name).sorted().toList());
  }

  @ParameterizedTest
  @MethodSource("structs")
  void structIsAsTheTableHasIt(String name) throws Exception {
    StructLayout layout = Structs.of(name).orElseThrow();
    List<Row> rows =
        ReferenceTable.rows("structs.tsv").stream()
            .filter(r -> r.get("struct").equals(name))
            .toList();
    List<Row> fields = rows.stream().filter(r -> !r.get("field").equals("-")).toList();
    assertEquals(
        fields.stream().map(r -> r.get("field")).toList(),
        layout.fields().stream().map(StructLayout.Field::name).toList());
    Map<String, Integer> expected = new HashMap<>();
    for (Row row : fields) {
      StructLayout.Field field = layout.field(row.get("field")).orElseThrow();
      assertEquals(row.getInt("sizeof"), layout.size());
      if (row.get("offset").equals("(bit-field)")) {
        assertEquals(row.get("size"), field.bits() + " bits");
        expected.put(constant(field.name()) + "_BIT", field.bit());
        continue;
      }
      assertEquals(row.getInt("offset"), field.offset(), field::name);
      assertEquals(
          row.get("size"),
          field.size() == StructLayout.FLEXIBLE ? "flexible" : String.valueOf(field.size()));
      assertEquals(row.get("type"), field.type());
      expected.put(constant(field.name()), field.offset());
    }
    expected.put("SIZEOF", layout.size());
    if (name.equals("kvm_run")) {
      expected.put("UNION", 32);
      expected.put("UNION_SIZE", 256);
    }
    assertEquals(new TreeMap<>(expected), constants(constantsOf(name)));
  }

  /** The bit-fields of a redirection entry lie one after the other up to its reserved bytes. */
  @Test
  void bitFieldsFollowEachOther() {
    StructLayout layout = Structs.of("kvm_ioapic_state").orElseThrow();
    int bit = 8;
    for (StructLayout.Field field : layout.fields()) {
      if (field.bits() > 0) {
        assertEquals(bit, field.bit(), field::name);
        assertEquals(24, field.offset());
        bit += field.bits();
      }
    }
    assertEquals(24, bit);
  }

  private static Class<?> constantsOf(String struct) throws ClassNotFoundException {
    StringBuilder name = new StringBuilder("org.kvm4j.kvm.uapi.");
    for (String part : struct.split("_", -1)) {
      name.append(Character.toUpperCase(part.charAt(0))).append(part.substring(1));
    }
    return Class.forName(name.toString());
  }

  private static String constant(String field) {
    return field.replaceAll("[.\\[\\]]+", "_").toUpperCase(Locale.ROOT);
  }

  // --- Errnos

  @Test
  void everyErrorOfTheFactsHasANumber() {
    Set<String> known = Arrays.stream(Errno.values()).map(Enum::name).collect(Collectors.toSet());
    Set<String> unknown = new TreeSet<>();
    for (Row row : ReferenceTable.rows("errno-rules.tsv")) {
      for (String word : row.get("errno").split("[^A-Z0-9_]+", -1)) {
        if (word.matches("E[A-Z0-9]{3,}") && !known.contains(word)) {
          unknown.add(word);
        }
      }
    }
    for (Row row : ReferenceTable.rows("errnos-measured.tsv")) {
      String word = row.get("result").replace("-1 ", "");
      if (word.startsWith("E") && !known.contains(word)) {
        unknown.add(word);
      }
    }
    assertEquals(Set.of(), unknown);
  }
}
