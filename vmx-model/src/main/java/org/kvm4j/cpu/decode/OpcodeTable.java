package org.kvm4j.cpu.decode;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.profile.Feature;

/**
 * The opcode maps, read once from their text, as trees: for each opcode byte the choices that lead
 * to the form of the instruction. (The code that reads them uses no lambdas and no {@code +} on
 * strings, whose first use in a JVM takes longer than the reading.)
 *
 * <p>A line of a map is: the opcode byte in hex, what the encoding must be beside it, the mnemonic,
 * the operand codes of {@link OperandCode}, and the feature. Where several lines match, the last
 * one whose feature the CPU has counts, so that exceptions follow their rule.
 *
 * <ul>
 *   <li>{@code 40+}: eight opcodes, the low three bits naming a register; {@code 70+c}: sixteen,
 *       the low four bits being a condition; {@code 00*8}: eight opcodes, eight apart, one for each
 *       member of a group
 *   <li>{@code NP}, {@code 66}, {@code F3}, {@code F2}: the mandatory prefix (NP none of them)
 *   <li>{@code /0} to {@code /7}: the field reg of ModR/M; {@code =C1}: the whole ModR/M byte;
 *       {@code m}, {@code r}: memory or register in ModR/M
 *   <li>{@code W0 W1 L0 L1 B0}: REX.W or VEX.W, VEX.L, REX.B
 *   <li>{@code i64}, {@code o64}: invalid in 64-bit mode, only in it; {@code d64}, {@code f64}: the
 *       operand size in 64-bit mode is 64 by default, or always; {@code modrm=r}: mod is ignored
 *   <li>a mnemonic that a line {@code Grp1 = ADD OR ...} defines stands for eight forms by reg
 *   <li>{@code ;SSE2}: the feature, where it is not that of the {@link Opcode}; {@code ;AVX|AVX2}:
 *       those of VEX.L 0 and 1
 * </ul>
 */
final class OpcodeTable {
  /** The index of the maps with VEX prefix: 4 plus VEX.mmmmm. */
  static final int VEX = 4;

  /** The forms, by id. */
  static final Form[] FORMS;

  private static final List<Form>[][] LINES = newLines();
  private static final @Nullable Node[][] ROOTS = new Node[8][256];

  static {
    Parser parser = new Parser();
    parser.read(0, IntegerMaps.ONE_BYTE);
    parser.read(1, IntegerMaps.TWO_BYTE);
    parser.read(2, IntegerMaps.THREE_BYTE_38);
    parser.read(VEX + 2, IntegerMaps.VEX_38);
    parser.read(VEX + 3, IntegerMaps.VEX_3A);
    parser.read(0, X87Map.ONE_BYTE);
    parser.read(1, VectorMaps.TWO_BYTE);
    parser.read(2, VectorMaps.THREE_BYTE_38);
    parser.read(3, VectorMaps.THREE_BYTE_3A);
    parser.read(VEX + 1, VectorMaps.VEX_TWO_BYTE);
    parser.read(VEX + 2, VectorMaps.VEX_38);
    parser.read(VEX + 3, VectorMaps.VEX_3A);
    parser.readPacked(1, VectorMaps.PACKED);
    parser.readPacked(2, VectorMaps.PACKED_38);
    parser.readFloat(VectorMaps.FLOAT);
    parser.readFused(VectorMaps.FUSED);
    FORMS = parser.forms.toArray(new Form[0]);
  }

  private OpcodeTable() {}

  /**
   * Returns the tree of an opcode byte. Trees are built when first asked for, perhaps twice by two
   * threads, which does no harm: nodes never change.
   *
   * @param map the opcode map, 0 to 7
   * @param opcode the opcode byte
   */
  static Node root(int map, int opcode) {
    Node root = ROOTS[map][opcode];
    if (root == null) {
      List<Form> lines = LINES[map][opcode];
      root = build(lines == null ? new Form[0] : lines.toArray(new Form[0]), 0);
      ROOTS[map][opcode] = root;
    }
    return root;
  }

  private static Node build(Form[] forms, int from) {
    Form.Choice[] choices = Form.Choice.values();
    for (int c = from; c < choices.length && forms.length > 0; c++) {
      Form.Choice choice = choices[c];
      boolean restricts = false;
      for (Form form : forms) {
        restricts |= choice.restricts(form.allowed);
      }
      if (restricts) {
        Node[] children = new Node[choice.values];
        for (int value = 0; value < choice.values; value++) {
          children[value] = build(matching(forms, choice, value), c + 1);
        }
        return new Node(choice.ordinal(), children, forms);
      }
    }
    return new Node(Node.LEAF, new Node[0], forms);
  }

  private static Form[] matching(Form[] forms, Form.Choice choice, int value) {
    List<Form> matching = new ArrayList<>(forms.length);
    for (Form form : forms) {
      if ((form.allowed[choice.ordinal()] >> value & 1) != 0) {
        matching.add(form);
      }
    }
    return matching.toArray(new Form[0]);
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private static List<Form>[][] newLines() {
    return new List[8][256];
  }

  /** A choice to be made, or the forms that are left, the most general first. */
  static final class Node {
    static final int LEAF = -1;

    /** The ordinal of a {@link Form.Choice}, or {@link #LEAF}. */
    final int choice;

    final Node[] children;
    final Form[] forms;

    /** Whether a ModR/M byte follows, as it does for all forms of an opcode byte or for none. */
    final boolean modrm;

    Node(int choice, Node[] children, Form[] forms) {
      this.choice = choice;
      this.children = children;
      this.forms = forms;
      boolean any = false;
      for (Form form : forms) {
        any |= form.modrm;
      }
      modrm = any;
    }
  }

  private static final class Parser {
    private static final String[] NO_MEMBERS = {};

    final List<Form> forms = new ArrayList<>();
    private final Map<String, Opcode> opcodes = new HashMap<>(2048);
    private final Map<String, String[]> groups = new HashMap<>();
    private final Map<String, int[]> operandLists = new HashMap<>();

    Parser() {
      for (Opcode opcode : Opcode.values()) {
        opcodes.put(opcode.name(), opcode);
      }
    }

    void read(int map, String text) {
      for (String line : lines(text)) {
        String[] words = split(line, ' ');
        if (words[1].equals("=")) {
          groups.put(words[0], Arrays.copyOfRange(words, 2, words.length));
        } else {
          new Line(map, words).add();
        }
      }
    }

    void readPacked(int map, String text) {
      for (String line : lines(text)) {
        String[] words = split(line, ' ');
        String code = words[0];
        String name = words[1];
        boolean mmx = !words[2].equals("-");
        if (mmx) {
          new Line(map, code, "NP", name, "Pq,Qq", ";".concat(words[2])).add();
        }
        if (map == 1) {
          new Line(map, code, "66", name, "Vx,Wx", ";SSE2").add();
        } else {
          new Line(map, code, "66", name, "Vx,Wx").add();
        }
        new Line(VEX + map, code, "66", "V".concat(name), "Vx,Hx,Wx", ";AVX|AVX2").add();
      }
    }

    void readFloat(String text) {
      for (String line : lines(text)) {
        String[] words = split(line, ' ');
        String code = words[0];
        String name = words[1];
        new Line(1, code, "NP", name.concat("PS"), "Vx,Wx").add();
        new Line(1, code, "66", name.concat("PD"), "Vx,Wx").add();
        new Line(1, code, "F3", name.concat("SS"), "Vd,Wd").add();
        new Line(1, code, "F2", name.concat("SD"), "Vq,Wq").add();
        new Line(VEX + 1, code, "NP", "V".concat(name).concat("PS"), "Vx,Hx,Wx").add();
        new Line(VEX + 1, code, "66", "V".concat(name).concat("PD"), "Vx,Hx,Wx").add();
        new Line(VEX + 1, code, "F3", "V".concat(name).concat("SS"), "Vdq,Hdq,Wd").add();
        new Line(VEX + 1, code, "F2", "V".concat(name).concat("SD"), "Vdq,Hdq,Wq").add();
      }
    }

    void readFused(String text) {
      for (String line : lines(text)) {
        String[] words = split(line, ' ');
        boolean scalar = words[1].endsWith("S");
        String single = scalar ? "Vdq,Hdq,Wd" : "Vx,Hx,Wx";
        String twice = scalar ? "Vdq,Hdq,Wq" : "Vx,Hx,Wx";
        new Line(VEX + 2, words[0], "66", "W0", words[1].concat("S"), single).add();
        new Line(VEX + 2, words[0], "66", "W1", words[1].concat("D"), twice).add();
      }
    }

    private static String[] lines(String text) {
      return split(text, '\n');
    }

    /** Splits at single separators; the last part may be ended by one. */
    private static String[] split(String text, char separator) {
      List<String> parts = new ArrayList<>(8);
      int from = 0;
      while (from < text.length()) {
        int to = text.indexOf(separator, from);
        if (to < 0) {
          to = text.length();
        }
        parts.add(text.substring(from, to));
        from = to + 1;
      }
      return parts.toArray(new String[0]);
    }

    private int[] operands(String list) {
      int[] known = operandLists.get(list);
      if (known != null) {
        return known;
      }
      String[] codes = split(list, ',');
      int[] packed = new int[codes.length];
      for (int i = 0; i < codes.length; i++) {
        packed[i] = OperandCode.parse(codes[i]);
      }
      operandLists.put(list, packed);
      return packed;
    }

    /** One line on its way to forms. */
    private final class Line {
      private final int map;
      private final String[] words;
      private int firstCode;
      private int codes = 1;
      private int step = 1;
      private int traits;
      private String name = "";
      private String[] members = NO_MEMBERS;
      private int[] operands = {};
      private String feature = "";
      private final int[] allowed = {3, 15, 255, 3, 255, 3, 3, 3};

      Line(int map, String... words) {
        this.map = map;
        this.words = words;
      }

      void add() {
        try {
          readCode(words[0]);
          int next = 1;
          while (readConstraint(words[next])) {
            next++;
          }
          name = words[next++];
          members = groups.getOrDefault(name, NO_MEMBERS);
          if (next < words.length && words[next].charAt(0) != ';') {
            operands = operands(words[next++]);
          }
          if (next < words.length) {
            feature = words[next++].substring(1);
          }
          for (int operand : (traits & Form.IGNORE_MOD) == 0 ? operands : new int[0]) {
            allowed[Form.Choice.MOD.ordinal()] &=
                OperandCode.allowedMod(OperandCode.method(operand));
          }
          if (step == 8) {
            for (int i = 0; i < 8; i++) {
              addForms(firstCode + 8 * i, members[i]);
            }
          } else if (members.length > 0) {
            for (int i = 0; i < 8; i++) {
              if (!members[i].equals("-")) {
                allowed[Form.Choice.REG.ordinal()] = 1 << i;
                addForms(firstCode, members[i]);
              }
            }
          } else {
            addForms(firstCode, name);
          }
        } catch (RuntimeException e) {
          throw new IllegalStateException("opcode map " + map + ": " + String.join(" ", words), e);
        }
      }

      private void readCode(String word) {
        firstCode = Integer.parseInt(word.substring(0, 2), 16);
        switch (word.substring(2)) {
          case "":
            break;
          case "+":
            codes = 8;
            break;
          case "+c":
            codes = 16;
            traits |= Form.CONDITION;
            break;
          case "*8":
            step = 8;
            break;
          default:
            throw new IllegalArgumentException(word);
        }
      }

      private void allow(Form.Choice choice, int mask) {
        allowed[choice.ordinal()] = mask;
      }

      private boolean readConstraint(String word) {
        switch (word) {
          case "NP":
            allow(Form.Choice.PREFIX, 1);
            return true;
          case "66":
            allow(Form.Choice.PREFIX, 2);
            return true;
          case "F3":
            allow(Form.Choice.PREFIX, 4);
            return true;
          case "F2":
            allow(Form.Choice.PREFIX, 8);
            return true;
          case "m":
            allow(Form.Choice.MOD, 1);
            return true;
          case "r":
            allow(Form.Choice.MOD, 2);
            return true;
          case "W0":
            allow(Form.Choice.W, 1);
            return true;
          case "W1":
            allow(Form.Choice.W, 2);
            return true;
          case "L0":
            allow(Form.Choice.L, 1);
            return true;
          case "L1":
            allow(Form.Choice.L, 2);
            return true;
          case "B0":
            allow(Form.Choice.B, 1);
            return true;
          case "i64":
            allow(Form.Choice.MODE, 1);
            return true;
          case "o64":
            allow(Form.Choice.MODE, 2);
            return true;
          case "d64":
            traits |= Form.DEFAULT64;
            return true;
          case "f64":
            traits |= Form.FORCE64;
            return true;
          case "modrm=r":
            traits |= Form.IGNORE_MOD;
            return true;
          default:
            break;
        }
        if (word.charAt(0) == '/') {
          allow(Form.Choice.REG, 1 << word.charAt(1) - '0');
          return true;
        }
        if (word.charAt(0) == '=') {
          int modrm = Integer.parseInt(word.substring(1), 16);
          allow(Form.Choice.MOD, 2);
          allow(Form.Choice.REG, 1 << (modrm >> 3 & 7));
          allow(Form.Choice.RM, 1 << (modrm & 7));
          return true;
        }
        return false;
      }

      private void addForms(int code, String mnemonic) {
        Opcode opcode = opcodes.get(mnemonic);
        if (opcode == null) {
          throw new IllegalArgumentException("no opcode " + mnemonic);
        }
        int bar = feature.indexOf('|');
        if (bar < 0) {
          addForm(
              code, opcode, feature.isEmpty() ? opcode.feature : Feature.valueOf(feature), allowed);
        } else {
          int l = Form.Choice.L.ordinal();
          int[] wide = allowed.clone();
          wide[l] &= 2;
          int[] narrow = allowed.clone();
          narrow[l] &= 1;
          addForm(code, opcode, Feature.valueOf(feature.substring(bar + 1)), wide);
          addForm(code, opcode, Feature.valueOf(feature.substring(0, bar)), narrow);
        }
      }

      private void addForm(int code, Opcode opcode, @Nullable Feature needed, int[] choices) {
        boolean avx = map >= VEX && opcode.name().charAt(0) == 'V';
        Form form = new Form(forms.size(), opcode, needed, avx, operands, traits, choices.clone());
        forms.add(form);
        for (int i = 0; i < codes; i++) {
          List<Form> at = LINES[map][code + i];
          if (at == null) {
            at = new ArrayList<>(4);
            LINES[map][code + i] = at;
          }
          at.add(form);
        }
      }
    }
  }
}
