package org.kvm4j.vmm.device;

import java.util.ArrayDeque;

/**
 * An i8042 with a keyboard that nobody types on: status, self tests, the command byte, the output
 * port, and the line that resets the machine. Ports 0x60 (data) and 0x64 (status and commands).
 *
 * <p>Source: IBM Personal System/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary
 * Device Controller" and "Keyboards".
 */
public final class KeyboardController {

  /** The data port. */
  public static final int DATA_PORT = 0x60;

  /** The status and command port. */
  public static final int COMMAND_PORT = 0x64;

  private static final int STATUS_OUTPUT_FULL = 0x01;
  private static final int STATUS_SYSTEM = 0x04;
  private static final int STATUS_COMMAND = 0x08;
  private static final int STATUS_UNLOCKED = 0x10;

  private static final int COMMAND_BYTE_SYSTEM = 0x04;
  private static final int COMMAND_BYTE_KEYBOARD_DISABLED = 0x10;
  private static final int COMMAND_BYTE_AUX_DISABLED = 0x20;

  private static final int OUTPUT_PORT_NO_RESET = 0x01;
  private static final int OUTPUT_PORT_A20 = 0x02;

  private static final int ACKNOWLEDGE = 0xfa;
  private static final int RESEND = 0xfe;

  /** What the next byte at the data port is for. */
  private enum Expecting {
    KEYBOARD,
    COMMAND_BYTE,
    OUTPUT_PORT,
    KEYBOARD_OUTPUT,
    AUX,
    LEDS,
    SCAN_CODE_SET,
    RATE
  }

  private final Runnable reset;
  private final ArrayDeque<Integer> output = new ArrayDeque<>();
  private int commandByte = COMMAND_BYTE_SYSTEM | COMMAND_BYTE_AUX_DISABLED | 0x41;
  private int outputPort = OUTPUT_PORT_NO_RESET | OUTPUT_PORT_A20;
  private boolean lastWasCommand;
  private Expecting expecting = Expecting.KEYBOARD;

  /**
   * @param reset what happens when the guest pulls the reset line
   */
  public KeyboardController(Runnable reset) {
    this.reset = reset;
  }

  /** The device for {@link #DATA_PORT}. */
  public PortDevice dataPort() {
    return new ByteDevice() {
      @Override
      protected int readByte(int offset) {
        return readData();
      }

      @Override
      protected void writeByte(int offset, int value) {
        writeData(value);
      }
    };
  }

  /** The device for {@link #COMMAND_PORT}. */
  public PortDevice commandPort() {
    return new ByteDevice() {
      @Override
      protected int readByte(int offset) {
        return readStatus();
      }

      @Override
      protected void writeByte(int offset, int value) {
        writeCommand(value);
      }
    };
  }

  private synchronized int readData() {
    Integer value = output.poll();
    return value == null ? 0 : value;
  }

  private synchronized int readStatus() {
    return (output.isEmpty() ? 0 : STATUS_OUTPUT_FULL)
        | (commandByte & STATUS_SYSTEM)
        | (lastWasCommand ? STATUS_COMMAND : 0)
        | STATUS_UNLOCKED;
  }

  private synchronized void writeCommand(int command) {
    lastWasCommand = true;
    expecting = Expecting.KEYBOARD;
    switch (command) {
      case 0x20:
        answer(commandByte);
        break;
      case 0x60:
        expecting = Expecting.COMMAND_BYTE;
        break;
      case 0xa7:
        commandByte |= COMMAND_BYTE_AUX_DISABLED;
        break;
      case 0xa8:
        commandByte &= ~COMMAND_BYTE_AUX_DISABLED;
        break;
      case 0xa9: // test of the auxiliary interface: no fault
        answer(0x00);
        break;
      case 0xaa: // self test
        commandByte |= COMMAND_BYTE_SYSTEM;
        output.clear();
        answer(0x55);
        break;
      case 0xab: // test of the keyboard interface: no fault
        answer(0x00);
        break;
      case 0xad:
        commandByte |= COMMAND_BYTE_KEYBOARD_DISABLED;
        break;
      case 0xae:
        commandByte &= ~COMMAND_BYTE_KEYBOARD_DISABLED;
        break;
      case 0xc0: // input port: not locked, no manufacturing jumper
        answer(0xa0);
        break;
      case 0xd0:
        answer(outputPort | (output.isEmpty() ? 0 : 0x10));
        break;
      case 0xd1:
        expecting = Expecting.OUTPUT_PORT;
        break;
      case 0xd2:
        expecting = Expecting.KEYBOARD_OUTPUT;
        break;
      case 0xd4:
        expecting = Expecting.AUX;
        break;
      default:
        // 0xF0 to 0xFF pulse the lines of the output port whose bits are 0; line 0 is the machine's
        // reset.
        if (command >= 0xf0 && (command & 1) == 0) {
          reset.run();
        }
        break;
    }
  }

  private synchronized void writeData(int value) {
    lastWasCommand = false;
    Expecting what = expecting;
    expecting = Expecting.KEYBOARD;
    switch (what) {
      case COMMAND_BYTE:
        commandByte = value;
        break;
      case OUTPUT_PORT:
        outputPort = value;
        if ((value & OUTPUT_PORT_NO_RESET) == 0) {
          reset.run();
        }
        break;
      case KEYBOARD_OUTPUT:
        answer(value);
        break;
      case AUX:
        // There is no mouse: nobody acknowledges.
        answer(RESEND);
        break;
      case SCAN_CODE_SET:
        answer(ACKNOWLEDGE);
        if (value == 0) {
          answer(0x02);
        }
        break;
      case LEDS:
      case RATE:
        answer(ACKNOWLEDGE);
        break;
      case KEYBOARD:
        keyboard(value);
        break;
    }
  }

  /** A command to the keyboard itself. */
  private void keyboard(int command) {
    switch (command) {
      case 0xed:
        expecting = Expecting.LEDS;
        answer(ACKNOWLEDGE);
        break;
      case 0xee: // echo
        answer(0xee);
        break;
      case 0xf0:
        expecting = Expecting.SCAN_CODE_SET;
        answer(ACKNOWLEDGE);
        break;
      case 0xf2: // identify: an MF2 keyboard
        answer(ACKNOWLEDGE);
        answer(0xab);
        answer(0x83);
        break;
      case 0xf3:
        expecting = Expecting.RATE;
        answer(ACKNOWLEDGE);
        break;
      case 0xf4: // enable
      case 0xf5: // disable
      case 0xf6: // defaults
        answer(ACKNOWLEDGE);
        break;
      case 0xff: // reset and self test
        output.clear();
        answer(ACKNOWLEDGE);
        answer(0xaa);
        break;
      default:
        answer(RESEND);
        break;
    }
  }

  private void answer(int value) {
    // A guest that never reads does not make this grow.
    if (output.size() < 16) {
      output.add(value);
    }
  }
}
