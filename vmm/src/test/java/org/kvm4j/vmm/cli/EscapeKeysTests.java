package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EscapeKeysTests {

  private final StringBuilder seen = new StringBuilder();

  private final EscapeKeys keys =
      new EscapeKeys(
          new EscapeKeys.Actions() {
            @Override
            public void send(int value) {
              seen.append(value == EscapeKeys.ESCAPE ? '^' : (char) value);
            }

            @Override
            public void quit() {
              seen.append("<quit>");
            }

            @Override
            public void suspend() {
              seen.append("<suspend>");
            }

            @Override
            public void sendSize() {
              seen.append("<size>");
            }

            @Override
            public void help() {
              seen.append("<help>");
            }
          });

  /** ^ stands for Ctrl-A. */
  private String typed(String text) {
    text.chars().forEach(c -> keys.typed(c == '^' ? EscapeKeys.ESCAPE : c));
    return seen.toString();
  }

  @ParameterizedTest
  @CsvSource({
    "abc,abc",
    "a^xb,a<quit>b",
    "^z,<suspend>",
    "^w,<size>",
    "^h^?,<help><help>",
    "^^x,^x",
    "^^^x,^<quit>",
    "^lx,^lx",
    "x^,x"
  })
  void keys_after_the_escape(String text, String expected) {
    assertEquals(expected, typed(text));
  }

  @Test
  void all_other_bytes_go_to_the_guest() {
    for (int value = 0; value < 256; value++) {
      if (value != EscapeKeys.ESCAPE) {
        seen.setLength(0);
        keys.typed(value);
        assertEquals(String.valueOf((char) value), seen.toString());
      }
    }
  }
}
